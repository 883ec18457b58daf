"""What a user may do: roles and bindings, read as the API server's RBAC authorizer reads them.

A request is allowed when some binding names its user or one of its groups and some rule of the
bound role names verb, group, resource and, where it lists names, the name. A RoleBinding allows in
its own namespace only. Nobody writes a role or a binding that allows more than they may do
themselves, but with `escalate` or `bind`. Roles are not aggregated, and the documents about the
server itself are there for everyone who is known. Source: kubernetes,
plugin/pkg/auth/authorizer/rbac and pkg/registry/rbac.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from dev.kube.errors import StatusError, forbidden, qualified
from dev.kube.identity import MASTERS, User, account_of
from dev.kube.resources import Resource, StorageKey
from dev.kube.schema import Json
from dev.kube.store import Store

GROUP: Final = "rbac.authorization.k8s.io"
CLUSTER_ROLES: Final[StorageKey] = (GROUP, "clusterroles")
_ROLES: Final[StorageKey] = (GROUP, "roles")
_BINDINGS: Final[tuple[StorageKey, ...]] = ((GROUP, "clusterrolebindings"), (GROUP, "rolebindings"))


@dataclass(frozen=True)
class Wish:
    """What a request wants to do."""

    verb: str
    group: str
    resource: str
    """With the subresource: `pods/log`."""
    namespace: str = ""
    """Empty for a cluster-scoped object, or for all namespaces."""
    name: str = ""


def allows(store: Store, user: User, wish: Wish) -> bool:
    """Whether the user may."""
    if MASTERS in user.groups:
        return True
    return any(_covers(rule, wish) for rule in rules_of(store, user, wish.namespace))


def rules_of(store: Store, user: User, namespace: str) -> Iterator[Json]:
    """Every rule that holds for the user, cluster-wide or in the namespace."""
    for storage in _BINDINGS:
        for (place, _), record in list(store.bucket(storage).records.items()):
            if place not in {"", namespace}:
                continue
            if any(_names(subject, user, place) for subject in record.obj.get("subjects") or ()):
                yield from _role_rules(store, record.obj["roleRef"], place)


def refuse(store: Store, user: User, wish: Wish) -> None:
    """Raise `StatusError` 403 unless the user may."""
    if allows(store, user, wish):
        return
    plural = wish.resource.partition("/")[0]
    place = f'in the namespace "{wish.namespace}"' if wish.namespace else "at the cluster scope"
    why = (
        f'User "{user.name}" cannot {wish.verb} resource "{wish.resource}" '
        f'in API group "{wish.group}" {place}'
    )
    if wish.name:
        raise forbidden(plural, wish.group, wish.name, why)
    details = {"group": wish.group, "kind": plural}
    message = f"{qualified(plural, wish.group)} is forbidden: {why}"
    raise StatusError(403, "Forbidden", message, {k: v for k, v in details.items() if v})


def refuse_escalation(store: Store, user: User, resource: Resource, obj: Json) -> None:
    """Raise `StatusError` 403 for a role or a binding that gives more than the user has."""
    if resource.group != GROUP or MASTERS in user.groups:
        return
    metadata = obj["metadata"]
    namespace = metadata.get("namespace", "")
    if "roleRef" in obj:
        reference = obj["roleRef"]
        plural = f"{reference['kind'].lower()}s"
        bypass = Wish("bind", GROUP, plural, namespace, reference["name"])
        granted = list(_role_rules(store, reference, namespace))
    else:
        bypass = Wish("escalate", GROUP, resource.plural, namespace, metadata["name"])
        granted = list(obj.get("rules") or ())
    if allows(store, user, bypass):
        return
    for rule in granted:
        for wish in _parts(rule, namespace):
            if not allows(store, user, wish):
                why = (
                    f'user "{user.name}" is attempting to grant RBAC permissions not currently '
                    f"held: {wish.verb} {wish.resource}.{wish.group}"
                )
                raise forbidden(resource.plural, resource.group, metadata["name"], why)


def _parts(rule: Json, namespace: str) -> Iterator[Wish]:
    """A rule's single permissions."""
    for verb, group, plural, name in product(
        rule.get("verbs") or (),
        rule.get("apiGroups") or (),
        rule.get("resources") or (),
        rule.get("resourceNames") or ("",),
    ):
        yield Wish(verb, group, plural, namespace, name)
    for verb, url in product(rule.get("verbs") or (), rule.get("nonResourceURLs") or ()):
        yield Wish(verb, "", url, namespace)


def _names(subject: Json, user: User, place: str) -> bool:
    match subject.get("kind"):
        case "ServiceAccount":
            account = (subject.get("namespace") or place, subject["name"])
            return account_of(user.name) == account
        case "Group":
            return subject["name"] in user.groups
        case _:
            return bool(subject["name"] == user.name)


def _role_rules(store: Store, reference: Json, namespace: str) -> Iterator[Json]:
    """The rules of the role that a binding refers to; none when it is not there."""
    of_cluster = reference["kind"] == "ClusterRole"
    key = ("" if of_cluster else namespace, reference["name"])
    role = store.get(CLUSTER_ROLES if of_cluster else _ROLES, key)
    if role is not None:
        yield from role.obj.get("rules") or ()


def _covers(rule: Json, wish: Wish) -> bool:
    plural, slash, subresource = wish.resource.partition("/")
    resources = rule.get("resources") or rule.get("nonResourceURLs") or ()
    names: Sequence[Any] = rule.get("resourceNames") or ()
    return (
        _has(rule.get("verbs"), wish.verb)
        and (_has(rule.get("apiGroups"), wish.group) or "nonResourceURLs" in rule)
        and (_has(resources, wish.resource) or (bool(slash) and f"*/{subresource}" in resources))
        and (not names or wish.name in names)
        and bool(plural)
    )


def _has(listed: Sequence[Any] | None, wanted: str) -> bool:
    return "*" in (listed or ()) or wanted in (listed or ())
