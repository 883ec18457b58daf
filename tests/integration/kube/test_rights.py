"""RBAC: service accounts, impersonated or by their tokens, may do what is bound to them alone."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.kube.target import KubeTarget

ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "reader"},
    "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"],
         "resourceNames": ["mine"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get"]},
    ],
}  # fmt: skip


def binding(role: str, target: KubeTarget) -> dict[str, Any]:
    """The account `reader` bound to a role of its namespace."""
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": target.namespace}
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": role},
        "subjects": [subject],
    }


def apply(target: KubeTarget, *objects: dict[str, Any]) -> None:
    """Client-side, as a person does it."""
    target.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))


@pytest.fixture
def reader(kube_target: KubeTarget) -> str:
    """A service account that may read ConfigMaps of its namespace and patch one of them."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "reader", "namespace": kube_target.namespace},
    }
    apply(kube_target, account, ROLE, binding("reader", kube_target))
    return f"system:serviceaccount:{kube_target.namespace}:reader"


@pytest.fixture
def cluster_role(kube_target: KubeTarget) -> Iterator[str]:
    """A name for one, that is gone in the end."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    kube_target.kubectl("delete", "clusterrole", name, "--ignore-not-found")


def test_a_service_account_may_do_what_is_bound_to_it(kube_target: KubeTarget, reader: str) -> None:
    kube_target.kubectl("create", "configmap", "mine")
    kube_target.kubectl("create", "configmap", "other")
    acting = f"--as={reader}"
    assert "mine" in kube_target.kubectl("get", "configmaps", acting)
    kube_target.kubectl("patch", "configmap", "mine", "-p", '{"data":{"a":"2"}}', acting)
    for command in (
        ("patch", "configmap", "other", "-p", '{"data":{"a":"2"}}'),
        ("delete", "configmap", "mine"),
        ("get", "secrets"),
        ("get", "configmaps", "--all-namespaces"),
    ):
        said = kube_target.kubectl(*command, acting, fails=True)
        assert f'User "{reader}" cannot' in said, command


def test_a_server_side_apply_that_makes_an_object_needs_create_too(
    kube_target: KubeTarget, reader: str
) -> None:
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}}
    apply = ("apply", "--server-side", "-f", "-", f"--as={reader}")
    said = kube_target.kubectl(*apply, stdin=json.dumps(mine), fails=True)
    assert "cannot create resource" in said
    kube_target.kubectl("create", "configmap", "mine")
    kube_target.kubectl(*apply, stdin=json.dumps({**mine, "data": {"a": "1"}}))


def test_reviews_tell_what_requests_meet(kube_target: KubeTarget, reader: str) -> None:
    def may(*what: str) -> str:
        wanted = "--quiet=false"
        done = kube_target.run(
            "sh", "-c", f'kubectl auth can-i "$@" {wanted} || true', "sh", *what,
            "--namespace", kube_target.namespace, f"--as={reader}",
        )  # fmt: skip
        return done.split()[-1]

    assert may("list", "configmaps") == "yes"
    assert may("patch", "configmaps/mine") == "yes"
    assert may("patch", "configmaps/other") == "no"
    assert may("get", "deployments.apps", "--subresource=scale") == "yes"
    assert may("get", "deployments.apps") == "no"
    assert reader in kube_target.kubectl("auth", "whoami", f"--as={reader}")


def test_a_token_is_its_account_s_until_the_account_is_gone(
    kube_target: KubeTarget, reader: str
) -> None:
    token = kube_target.kubectl("create", "token", "reader").strip()
    config = json.loads(kube_target.kubectl("config", "view", "--raw", "-o", "json"))
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    own = kube_target.home / "reader.yaml"
    own.write_text(json.dumps(config))
    with_token = {"KUBECONFIG": str(own)}
    kube_target.kubectl("get", "configmaps", **with_token)
    said = kube_target.kubectl("get", "secrets", fails=True, **with_token)
    assert f'User "{reader}" cannot list' in said
    said = kube_target.kubectl("get", "configmaps", "--as=admin", fails=True, **with_token)
    assert "impersonate" in said
    kube_target.kubectl("delete", "serviceaccount", "reader")
    kube_target.kubectl("create", "serviceaccount", "reader")

    def refused() -> bool:
        done = kube_target.run("sh", "-c", "kubectl get configmaps -A 2>&1 || true", **with_token)
        return "logged in" in done or "Unauthorized" in done

    kube_target.eventually(refused, 30)


def test_nobody_gives_what_they_do_not_have(
    kube_target: KubeTarget, reader: str, cluster_role: str
) -> None:
    account = f"--serviceaccount={kube_target.namespace}:reader"
    kube_target.kubectl("create", "rolebinding", "grown", "--clusterrole=admin", account)
    acting = f"--as={reader}"
    for command in (
        ("create", "rolebinding", "all", "--clusterrole=cluster-admin", account),
        ("create", "role", "nodes", "--verb=get", "--resource=nodes"),
    ):
        said = kube_target.kubectl(*command, acting, fails=True)
        assert "attempting to grant RBAC permissions not currently held" in said, command
    said = kube_target.kubectl(
        "create", "clusterrole", cluster_role, "--verb=get", "--resource=pods", acting, fails=True
    )
    assert "cannot create resource" in said
    lifter = {**ROLE, "metadata": {"name": "lifter"}, "rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
         "verbs": ["bind"], "resourceNames": ["cluster-admin"]}]}  # fmt: skip
    apply(kube_target, lifter, binding("lifter", kube_target))
    kube_target.kubectl(
        "create", "rolebinding", "all", "--clusterrole=cluster-admin", account, acting
    )
    assert kube_target.exists("rolebinding/all")
