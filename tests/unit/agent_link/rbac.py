"""What RBAC objects allow, decided as the API server's authorizer decides it.

The rules are few: a request is allowed when some binding names its user and some rule of the
bound role names group, resource, verb and, where it lists names, the name. A RoleBinding allows in
its own namespace only, whatever it binds. (kubernetes/kubernetes, plugin/pkg/auth/authorizer/rbac.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
BUILT_IN = {"cluster-admin": EVERYTHING, "admin": EVERYTHING}
"""Roles that every cluster has. `admin` is less than everything: this is an upper bound of it."""


@dataclass(frozen=True)
class Request:
    """One request to the API server."""

    verb: str
    resource: str
    """`pods`, `deployments.apps`, `arcbridgeclusters.arcbridge.io/status`."""
    namespace: str = ""
    """Empty for a cluster-scoped object, or for all namespaces."""
    name: str = ""

    @property
    def group(self) -> str:
        return self.resource.partition("/")[0].partition(".")[2]

    @property
    def plural(self) -> str:
        resource, slash, sub = self.resource.partition("/")
        return resource.partition(".")[0] + slash + sub


def account(namespace: str, name: str) -> str:
    """The user name of a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def allows(objects: Sequence[Object], user: str, request: Request) -> bool:
    """Whether the bindings among the objects let the user do it."""
    return any(
        _covers(rule, request)
        for binding in objects
        if binding["kind"] in ("ClusterRoleBinding", "RoleBinding")
        and user in _users(binding)
        and _reaches(binding, request)
        for rule in _rules(objects, binding)
    )


def _users(binding: Object) -> set[str]:
    return {
        account(subject["namespace"], subject["name"])
        for subject in binding["subjects"]
        if subject["kind"] == "ServiceAccount"
    }


def _reaches(binding: Object, request: Request) -> bool:
    if binding["kind"] == "ClusterRoleBinding":
        return True
    return bool(request.namespace) and binding["metadata"]["namespace"] == request.namespace


def _rules(objects: Iterable[Object], binding: Object) -> list[Object]:
    reference = binding["roleRef"]
    if reference["kind"] == "ClusterRole" and reference["name"] in BUILT_IN:
        return BUILT_IN[reference["name"]]
    namespace = binding["metadata"].get("namespace") if reference["kind"] == "Role" else None
    for role in objects:
        meta = role["metadata"]
        found = (role["kind"], meta["name"], meta.get("namespace"))
        if found == (reference["kind"], reference["name"], namespace):
            rules: list[Object] = role["rules"]
            return rules
    raise AssertionError(
        f"the binding {binding['metadata']['name']} is to a role that is not there"
    )


def _covers(rule: Object, request: Request) -> bool:
    names = rule.get("resourceNames") or ()
    return (
        _has(rule["verbs"], request.verb)
        and _has(rule["apiGroups"], request.group)
        and _has(rule["resources"], request.plural)
        and (not names or request.name in names)
    )


def _has(listed: Sequence[str], wanted: str) -> bool:
    return "*" in listed or wanted in listed
