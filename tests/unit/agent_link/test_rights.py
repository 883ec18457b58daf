"""What the installation's RBAC lets the agent and its extensions do, and above all what not."""

from __future__ import annotations

from typing import Any

import pytest

from shared.manifests.access import access
from shared.manifests.install import AgentInstall
from tests.unit.agent_link.rbac import Request, account, allows
from tests.unit.agent_link.test_manifest import install

OWN = "arcbridge-system"
AGENT, RECONCILER = account(OWN, "arcbridge-agent"), account(OWN, "arcbridge-reconciler")

NEEDED = [
    Request("create", "arcbridgeclusters.arcbridge.io"),
    Request("watch", "arcbridgeclusters.arcbridge.io"),
    Request("patch", "arcbridgeclusters.arcbridge.io/status", name="eu-1"),
    Request("watch", "nodes"),
    Request("watch", "namespaces"),
    Request("list", "deployments.apps"),
    Request("list", "customresourcedefinitions.apiextensions.k8s.io"),
    Request("patch", "secrets", OWN, "arcbridge-agent-identity"),
    Request("get", "secrets", OWN, "arcbridge-bootstrap"),
    Request("update", "leases.coordination.k8s.io", OWN, "arcbridge-agent"),
    Request("patch", "configmaps", OWN, "arcbridge-extension-web"),
    Request("impersonate", "serviceaccounts", OWN, "arcbridge-reconciler"),
    Request("create", "events", "default"),
]
NEVER = [
    Request("get", "secrets", "kube-system", "any"),
    Request("list", "secrets", OWN),
    Request("list", "secrets"),
    Request("get", "secrets", OWN, "of-someone-else"),
    Request("create", "pods", OWN),
    Request("create", "pods/exec", OWN),
    Request("create", "deployments.apps", OWN),
    Request("delete", "namespaces", name="shop"),
    Request("patch", "arcbridgeclusters.arcbridge.io", name="eu-1"),
    Request("delete", "arcbridgeclusters.arcbridge.io", name="eu-1"),
    Request("impersonate", "serviceaccounts", OWN, "default"),
    Request("impersonate", "serviceaccounts", "kube-system", "arcbridge-reconciler"),
    Request("impersonate", "users", name="admin"),
    Request("impersonate", "groups", name="system:masters"),
    Request("escalate", "clusterroles.rbac.authorization.k8s.io", name="arcbridge-agent"),
    Request("bind", "clusterroles.rbac.authorization.k8s.io", name="cluster-admin"),
    Request("patch", "clusterroles.rbac.authorization.k8s.io", name="arcbridge-agent"),
    Request("create", "clusterrolebindings.rbac.authorization.k8s.io"),
    Request("create", "serviceaccounts/token", OWN, "arcbridge-reconciler"),
    Request("create", "validatingwebhookconfigurations.admissionregistration.k8s.io"),
]
OUTSIDE = [
    Request("get", "secrets", OWN, "arcbridge-agent-identity"),
    Request("patch", "deployments.apps", OWN, "arcbridge-agent"),
    Request("create", "pods", "kube-system"),
    Request("get", "configmaps", "web", "any"),
    Request("list", "secrets"),
    Request("delete", "nodes", name="node-1"),
    Request("create", "namespaces"),
    Request("create", "clusterroles.rbac.authorization.k8s.io"),
    Request("create", "customresourcedefinitions.apiextensions.k8s.io"),
    Request("patch", "arcbridgeclusters.arcbridge.io", name="eu-1"),
    Request("impersonate", "serviceaccounts", "kube-system", "any"),
]


def rights(**changes: Any) -> list[dict[str, Any]]:
    made: AgentInstall = install(**changes)
    return access(made)


@pytest.mark.parametrize("request_", NEEDED, ids=str)
def test_the_agent_may_do_what_it_does(request_: Request) -> None:
    assert allows(rights(), AGENT, request_)


@pytest.mark.parametrize("request_", NEVER, ids=str)
def test_the_agent_itself_may_do_nothing_else(request_: Request) -> None:
    assert not allows(rights(), AGENT, request_)


@pytest.mark.parametrize("request_", OUTSIDE, ids=str)
def test_with_allowed_namespaces_extensions_cannot_leave_them(request_: Request) -> None:
    restricted = rights(allowed_namespaces=("shop",))
    assert not allows(restricted, RECONCILER, request_)
    assert allows(restricted, RECONCILER, Request("create", "deployments.apps", "shop"))


def test_without_them_extensions_may_do_everything_by_one_binding_that_can_be_replaced() -> None:
    found = rights()
    assert all(allows(found, RECONCILER, request) for request in OUTSIDE)
    kept = [o for o in found if (o["kind"], o["metadata"]["name"]) != (
        "ClusterRoleBinding", "arcbridge-reconciler")]  # fmt: skip
    assert not any(allows(kept, RECONCILER, request) for request in OUTSIDE)


def test_an_extension_with_an_account_of_its_own_has_its_rights_and_no_more() -> None:
    deployer = account("shop", "deployer")
    own = [
        binding("Role", "deployer", "deployer"),
        role("deployer", [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]),
    ]
    found = [*rights(allowed_namespaces=("shop",)), *own]
    assert allows(found, deployer, Request("patch", "configmaps", "shop", "a"))
    for request in (*OUTSIDE, Request("patch", "configmaps", "web", "a"),
                    Request("patch", "secrets", "shop", "a")):  # fmt: skip
        assert not allows(found, deployer, request)


def test_the_agent_may_act_as_that_account_only_where_the_administrator_lets_it() -> None:
    act = Request("impersonate", "serviceaccounts", "shop", "deployer")
    other = Request("impersonate", "serviceaccounts", "shop", "other")
    assert not allows(rights(), AGENT, act)
    rule = {
        "apiGroups": [""],
        "resources": ["serviceaccounts"],
        "verbs": ["impersonate"],
        "resourceNames": ["deployer"],
    }
    granted = [
        *rights(),
        role("act-as-deployer", [rule]),
        binding("Role", "act-as-deployer", "arcbridge-agent", OWN),
    ]
    assert allows(granted, AGENT, act)
    assert not allows(granted, AGENT, other)


def role(name: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "Role", "metadata": {"name": name, "namespace": "shop"}, "rules": rules}


def binding(kind: str, name: str, subject: str, of: str = "shop") -> dict[str, Any]:
    return {
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "shop"},
        "roleRef": {"kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": subject, "namespace": of}],
    }
