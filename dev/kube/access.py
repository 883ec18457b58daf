"""Authentication and authorization of one request: who asks, and whether they may."""

from __future__ import annotations

import hmac
from typing import Final

from dev.kube.changing import APPLY_TYPE
from dev.kube.cluster import Cluster
from dev.kube.errors import unauthorized
from dev.kube.http import Request
from dev.kube.identity import (
    ADMINISTRATOR,
    User,
    account_of,
    impersonated,
    read_token,
    service_account,
)
from dev.kube.rbac import Wish, refuse
from dev.kube.resources import StorageKey
from dev.kube.target import Target

_ACCOUNTS: Final[StorageKey] = ("", "serviceaccounts")
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_ONE: Final = "metadata.name="


def user_of(cluster: Cluster, request: Request) -> User:
    """Who the request is from; raises `StatusError` 401, or 403 for a forbidden impersonation."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    owner = owner_of(cluster, token) if kind == "Bearer" else None
    if owner is None:
        raise unauthorized()
    other = impersonated(request.headers)
    if other is None:
        return owner
    account = account_of(other.name)
    namespace, name = account or ("", other.name)
    refuse(
        cluster.store,
        owner,
        Wish("impersonate", "", "serviceaccounts" if account else "users", namespace, name),
    )
    for group in _asked_groups(request):
        refuse(cluster.store, owner, Wish("impersonate", "", "groups", name=group))
    return other


def _asked_groups(request: Request) -> list[str]:
    given = request.headers.get("impersonate-group", "")
    return [group.strip() for group in given.split(",") if group.strip()]


def owner_of(cluster: Cluster, token: str) -> User | None:
    """Whose token it is; None for nobody's."""
    if hmac.compare_digest(token.encode(), cluster.settings.token.encode()):
        return ADMINISTRATOR
    claims = read_token(token, cluster.settings.token)
    if claims is None or claims.expires <= cluster.time().timestamp():
        return None
    account = cluster.store.get(_ACCOUNTS, (claims.namespace, claims.name))
    if account is None or account.obj["metadata"]["uid"] != claims.uid:
        return None
    return service_account(claims.namespace, claims.name)


def authorize(cluster: Cluster, request: Request, target: Target) -> None:
    """Raise `StatusError` 403 unless the request's user may do it."""
    resource, verb = target.resource, verb_of(request, target)
    plural = "/".join(part for part in (resource.plural, target.subresource) if part)
    name = target.name
    if not name and verb in {"list", "watch"}:
        selected = request.query.get("fieldSelector", "")
        name = selected.removeprefix(_ONE) if selected.startswith(_ONE) else ""
    namespace = target.namespace
    if (resource.group, resource.plural) == ("", "namespaces"):
        namespace = target.name  # a namespace is judged as if it were in itself
    wish = Wish(verb, resource.group, plural, namespace, name)
    refuse(cluster.store, request.user, wish)
    if verb == "patch" and request.content_type == APPLY_TYPE and not target.subresource:
        key = (target.namespace if resource.namespaced else "", target.name)
        if cluster.store.get(resource.storage, key) is None:
            refuse(cluster.store, request.user, Wish("create", resource.group, plural, namespace))


def verb_of(request: Request, target: Target) -> str:
    """The verb that rules call the request by."""
    if request.method == "GET":
        if is_watch(request, target):
            return "watch"
        return "get" if target.name else "list"
    verb = _VERBS.get(request.method, request.method.lower())
    return "deletecollection" if verb == "delete" and not target.name else verb


def is_watch(request: Request, target: Target) -> bool:
    """Whether the request asks for changes as they come."""
    wanted = "watch" in request.query and request.flag("watch")
    return wanted and request.method == "GET" and not target.subresource
