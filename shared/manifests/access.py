"""The installation's rights. Pure: plain objects out.

Two identities. The agent's own may read what the inventory shows, keep its few objects in its own
namespace, and impersonate exactly one service account there: the reconciler's. What extensions may
do is what that one may do, and that is the administrator's choice: with no `allowedNamespaces` it
is bound to `cluster-admin`, because a chart may hold anything; with them it is `admin` in those
namespaces and nothing anywhere else. No role made here holds a wildcard, `escalate` or `bind`.
"""

from __future__ import annotations

from typing import Any

from shared.manifests.install import (
    AGENT,
    BOOTSTRAP_SECRET,
    IDENTITY_SECRET,
    LEASE,
    RECONCILER,
    AgentInstall,
)

Object = dict[str, Any]
_RBAC = "rbac.authorization.k8s.io"
LABELS = {"app.kubernetes.io/part-of": "arcbridge"}
_READ = ["get", "list", "watch"]


def access(install: AgentInstall) -> list[Object]:
    """Service accounts, roles and bindings."""
    return [
        _account(AGENT, install.namespace),
        _account(RECONCILER, install.namespace),
        _object("ClusterRole", AGENT, rules=cluster_rules()),
        _binding("ClusterRoleBinding", AGENT, "ClusterRole", AGENT, AGENT, install.namespace),
        _object("Role", AGENT, install.namespace, rules=namespace_rules()),
        _binding("RoleBinding", AGENT, "Role", AGENT, AGENT, install.namespace, install.namespace),
        _object("Role", f"{AGENT}-events", "default", rules=event_rules()),
        _binding(
            "RoleBinding",
            f"{AGENT}-events",
            "Role",
            f"{AGENT}-events",
            AGENT,
            install.namespace,
            "default",
        ),
        *_reconciler_bindings(install),
    ]


def cluster_rules() -> list[Object]:
    """What the agent reads of the whole cluster, and its own resource."""
    return [
        _rule("arcbridge.io", ["arcbridgeclusters"], [*_READ, "create"]),
        _rule("arcbridge.io", ["arcbridgeclusters/status"], ["get", "patch"]),
        _rule("", ["namespaces", "nodes"], _READ),
        _rule("apps", ["daemonsets", "deployments", "statefulsets"], _READ),
        _rule("apiextensions.k8s.io", ["customresourcedefinitions"], _READ),
    ]


def namespace_rules() -> list[Object]:
    """What the agent keeps in its own namespace. `create` cannot be held to names."""
    return [
        _rule("", ["secrets"], ["create"]),
        _rule("", ["secrets"], ["get", "patch"], [BOOTSTRAP_SECRET, IDENTITY_SECRET]),
        _rule("coordination.k8s.io", ["leases"], ["create"]),
        _rule("coordination.k8s.io", ["leases"], ["get", "update"], [LEASE]),
        _rule("", ["configmaps"], [*_READ, "create", "delete", "patch", "update"]),
        _rule("", ["serviceaccounts"], ["impersonate"], [RECONCILER]),
    ]


def event_rules() -> list[Object]:
    """Events about a cluster-scoped object belong into the namespace `default`."""
    return [_rule("", ["events"], ["create", "patch"])]


def _reconciler_bindings(install: AgentInstall) -> list[Object]:
    namespace = install.namespace
    if install.allowed_namespaces is None:
        return [
            _binding(
                "ClusterRoleBinding",
                RECONCILER,
                "ClusterRole",
                "cluster-admin",
                RECONCILER,
                namespace,
            )
        ]
    return [
        _binding("RoleBinding", RECONCILER, "ClusterRole", "admin", RECONCILER, namespace, allowed)
        for allowed in sorted(set(install.allowed_namespaces))
    ]


def _account(name: str, namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace, "labels": LABELS},
        "automountServiceAccountToken": False,
    }


def _object(kind: str, name: str, namespace: str | None = None, **content: Any) -> Object:
    metadata: Object = {"name": name, "labels": LABELS}
    if namespace is not None:
        metadata["namespace"] = namespace
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": metadata, **content}


def _binding(
    kind: str,
    name: str,
    role_kind: str,
    role: str,
    account: str,
    account_namespace: str,
    namespace: str | None = None,
) -> Object:
    return _object(
        kind,
        name,
        namespace,
        roleRef={"apiGroup": _RBAC, "kind": role_kind, "name": role},
        subjects=[{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}],
    )


def _rule(
    group: str, resources: list[str], verbs: list[str], names: list[str] | None = None
) -> Object:
    rule: Object = {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
    if names is not None:
        rule["resourceNames"] = names
    return rule
