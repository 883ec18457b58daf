"""The roles that every cluster has: cluster-admin, admin, edit and view.

The real `admin`, `edit` and `view` are longer, and grow with what aggregates to them; what stands
here is what the kinds of this API server need. Source: kubernetes,
plugin/pkg/auth/authorizer/rbac/bootstrappolicy.
"""

from __future__ import annotations

from typing import Final

from dev.kube.schema import Json

_READ: Final = ["get", "list", "watch"]
_WRITE: Final = ["create", "delete", "deletecollection", "patch", "update"]
_RBAC: Final = "rbac.authorization.k8s.io"
_WORK: Final = {
    "": ["configmaps", "endpoints", "persistentvolumeclaims", "pods", "pods/eviction",
         "pods/status", "replicationcontrollers", "services", "services/status"],
    "apps": ["controllerrevisions", "daemonsets", "deployments", "deployments/scale",
             "replicasets", "replicasets/scale", "statefulsets", "statefulsets/scale"],
    "autoscaling": ["horizontalpodautoscalers"],
    "batch": ["cronjobs", "jobs", "jobs/status"],
    "coordination.k8s.io": ["leases"],
    "discovery.k8s.io": ["endpointslices"],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
    "policy": ["poddisruptionbudgets"],
}  # fmt: skip
_SEEN: Final = ["events", "limitranges", "namespaces", "resourcequotas", "serviceaccounts"]


def default_roles() -> dict[str, Json]:
    """Each role's object, by name."""
    view = [_rule(group, plurals, _READ) for group, plurals in _WORK.items()]
    view.append(_rule("", _SEEN, _READ))
    edit = [
        *view,
        *(_rule(group, plurals, _WRITE) for group, plurals in _WORK.items()),
        _rule("", ["secrets"], [*_READ, *_WRITE]),
        _rule("", ["serviceaccounts"], [*_WRITE, "impersonate"]),
        _rule("", ["serviceaccounts/token"], ["create"]),
    ]
    admin = [*edit, _rule(_RBAC, ["roles", "rolebindings"], [*_READ, *_WRITE])]
    everything = [_rule("*", ["*"], ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}]
    rules = {"cluster-admin": everything, "admin": admin, "edit": edit, "view": view}
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    return {
        name: {"metadata": {"name": name, "labels": labels}, "rules": found}
        for name, found in rules.items()
    }


def _rule(group: str, resources: list[str], verbs: list[str]) -> Json:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
