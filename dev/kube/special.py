"""Requests that store nothing of their own kind: reviews, tokens, evictions, bindings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dev.kube import access, deletes, errors, rbac, writes
from dev.kube.changing import how_of
from dev.kube.cluster import Cluster
from dev.kube.deletes import DeleteOptions
from dev.kube.discovery import REVIEWS
from dev.kube.http import Request, Response
from dev.kube.identity import MASTERS, Claims, User, mint
from dev.kube.schema import Json
from dev.kube.target import Target

_REVIEW_KINDS = {(group, plural): kind for group, plural, kind, _ in REVIEWS}


def is_review(group: str, version: str, rest: list[str]) -> bool:
    """Does this path end in a create-only review kind?"""
    return version == "v1" and bool(rest) and (group, rest[-1]) in _REVIEW_KINDS


def review(cluster: Cluster, request: Request, group: str, rest: list[str]) -> Response:
    """Who somebody is, and what they may do."""
    if request.method != "POST":
        raise errors.method_not_allowed()
    kind = _REVIEW_KINDS[group, rest[-1]]
    asked: Any = request.document() or {}
    status: Json
    match kind:
        case "SelfSubjectReview":
            status = {"userInfo": request.user.info}
        case "TokenReview":
            owner = access.owner_of(cluster, (asked.get("spec") or {}).get("token", ""))
            status = {"authenticated": owner is not None, "user": owner.info if owner else {}}
        case "SelfSubjectRulesReview":
            status = _rules(cluster, request.user, (asked.get("spec") or {}).get("namespace", ""))
        case _:
            status = {"allowed": _may(cluster, request.user, asked.get("spec") or {})}
    document = {
        "kind": kind,
        "apiVersion": f"{group}/v1",
        "metadata": {"creationTimestamp": None},
        "spec": asked.get("spec") or {},
        "status": status,
    }
    return Response.of(document, 201)


def _rules(cluster: Cluster, user: User, namespace: str) -> Json:
    if MASTERS in user.groups:
        found: list[Json] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    else:
        found = [r for r in rbac.rules_of(cluster.store, user, namespace) if "resources" in r]
    return {"resourceRules": found, "nonResourceRules": [], "incomplete": False}


def _may(cluster: Cluster, user: User, spec: Json) -> bool:
    """Whether whoever a review is about may do what it asks about."""
    about = spec.get("user")
    if about is not None:
        user = User(about, frozenset(spec.get("groups") or ()))
    asked = spec.get("resourceAttributes")
    if asked is None:
        return True  # the documents about the server, which everyone may read
    parts = [asked.get("resource", ""), asked.get("subresource", "")]
    wish = rbac.Wish(
        asked.get("verb", ""),
        asked.get("group", ""),
        "/".join(part for part in parts if part),
        asked.get("namespace", ""),
        asked.get("name", ""),
    )
    return rbac.allows(cluster.store, user, wish)


def serve_special(cluster: Cluster, request: Request, target: Target) -> Response:
    """A subresource that is not simply part of the object."""
    if target.subresource == "finalize":
        return _finalize(cluster, request, target)
    if request.method != "POST":
        raise errors.method_not_allowed()
    match target.subresource:
        case "token":
            return _token(cluster, request, target)
        case "eviction":
            return _evict(cluster, request, target)
        case "binding":
            return _bind(cluster, request, target)
        case _:
            raise errors.no_such_path()


def _finalize(cluster: Cluster, request: Request, target: Target) -> Response:
    """PUT of a namespace's own finalizers."""
    record = writes.fetch(cluster, target.resource, "", target.name)
    asked = (request.document() or {}).get("spec") or {}
    spec = {**record.obj["spec"], "finalizers": asked.get("finalizers") or []}
    new = cluster.rewrite(
        target.resource.storage, record, {**record.obj, "spec": spec}, "kubectl", "finalize"
    )
    return Response.of(new.obj)


def _token(cluster: Cluster, request: Request, target: Target) -> Response:
    """A token for a service account."""
    account = writes.fetch(cluster, target.resource, target.namespace, target.name)
    asked = (request.document() or {}).get("spec") or {}
    seconds = int(asked.get("expirationSeconds") or 3600)
    end = cluster.time() + timedelta(seconds=seconds)
    claims = Claims(*account.key, account.obj["metadata"]["uid"], int(end.timestamp()))
    token = mint(claims, cluster.settings.token)
    document = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": account.key[1], "namespace": account.key[0]},
        "spec": {**asked, "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }
    return Response.of(document, 201)


def _evict(cluster: Cluster, request: Request, target: Target) -> Response:
    asked = request.document() or {}
    options = DeleteOptions.read(asked.get("deleteOptions") or {}, request.query)
    how = how_of(request, target)
    deletes.delete(cluster, target.resource, target.namespace, target.name, options, how)
    return Response.of(_success(), 201)


def _bind(cluster: Cluster, request: Request, target: Target) -> Response:
    record = writes.fetch(cluster, target.resource, target.namespace, target.name)
    node = ((request.document() or {}).get("target") or {}).get("name", "")
    new = {**record.obj, "spec": {**record.obj["spec"], "nodeName": node}}
    cluster.rewrite(target.resource.storage, record, new, "scheduler", "binding")
    return Response.of(_success(), 201)


def _success() -> Json:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
