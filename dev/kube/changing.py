"""POST, PUT, PATCH and DELETE on resources: from the request to the operations and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from dev.kube import deletes, errors, writes
from dev.kube.cluster import Cluster
from dev.kube.deletes import DeleteOptions
from dev.kube.http import Request, Response
from dev.kube.intake import IGNORE, STRICT, WARN, How
from dev.kube.json_patch import PatchError, json_patch, merge_patch
from dev.kube.reading import answer, matchers
from dev.kube.resources import Resource
from dev.kube.schema import Json
from dev.kube.strategic import strategic_merge
from dev.kube.target import Target

APPLY_TYPE: Final = "application/apply-patch+yaml"
_JSON_PATCH: Final = "application/json-patch+json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"


def how_of(request: Request, target: Target) -> How:
    """How the request wants its write to be made."""
    dry = request.query.get("dryRun", "")
    if dry not in {"", "All"}:
        cause = errors.not_supported("dryRun", dry, ["All"])
        raise errors.invalid("PatchOptions", "meta.k8s.io", "", [cause])
    checks = request.query.get("fieldValidation") or WARN
    if checks not in {STRICT, WARN, IGNORE}:
        cause = errors.not_supported("fieldValidation", checks, [IGNORE, WARN, STRICT])
        raise errors.invalid("PatchOptions", "meta.k8s.io", "", [cause])
    return How(
        manager=request.query.get("fieldManager") or _default_manager(request),
        field_validation=checks,
        dry_run=dry == "All",
        force=request.flag("force"),
        subresource=target.subresource,
        user=request.user,
    )


def _default_manager(request: Request) -> str:
    """The part of the User-Agent before the first slash, as the real server takes it."""
    agent = request.headers.get("user-agent", "")
    return re.sub(r"[^\x20-\x7e]", "", agent.split("/")[0])[:128] or "unknown"


def create(cluster: Cluster, request: Request, target: Target) -> Response:
    """POST to a collection."""
    how = how_of(request, target)
    record = writes.create(cluster, target.resource, target.namespace, request.document(), how)
    return _with_warnings(answer(request, target, record, 201), how)


def update(cluster: Cluster, request: Request, target: Target) -> Response:
    """PUT of an object or its status."""
    how = how_of(request, target)
    record = writes.update(
        cluster, target.resource, target.namespace, target.name, request.document(), how
    )
    return _with_warnings(answer(request, target, record), how)


def patch(cluster: Cluster, request: Request, target: Target) -> Response:
    """PATCH in one of the four ways."""
    how = how_of(request, target)
    if request.content_type in {APPLY_TYPE, "application/apply-patch+cbor"}:
        return _apply(cluster, request, target, how)
    change = _change(request, target.resource)
    record = writes.patch(cluster, target.resource, target.namespace, target.name, change, how)
    return _with_warnings(answer(request, target, record), how)


def _apply(cluster: Cluster, request: Request, target: Target, how: How) -> Response:
    if not request.query.get("fieldManager"):
        text = "is required for apply patch"
        cause = errors.required("fieldManager", text)
        raise errors.invalid("PatchOptions", "meta.k8s.io", "", [cause])
    record, created = writes.apply(
        cluster, target.resource, target.namespace, target.name, request.document(), how
    )
    return _with_warnings(answer(request, target, record, 201 if created else 200), how)


def _change(request: Request, resource: Resource) -> Callable[[Json], Any]:
    """The function from the current object to the patched one."""
    document, kind = request.document(), request.content_type
    accepted = [_JSON_PATCH, _MERGE_PATCH, APPLY_TYPE]
    if not resource.custom:
        accepted.append(_STRATEGIC)
    if kind not in accepted:
        raise errors.unsupported_media_type(kind, accepted)
    if request.flag("force") and "force" in request.query:
        text = "Forbidden: may not be specified for non-apply patch"
        cause = errors.cause("FieldValueForbidden", "force", text)
        raise errors.invalid("PatchOptions", "meta.k8s.io", "", [cause])
    if kind != _JSON_PATCH and not isinstance(document, dict):
        raise errors.bad_request("the patch is not a JSON object")

    def change(current: Json) -> Any:
        try:
            if kind == _JSON_PATCH:
                return json_patch(current, document)
            if kind == _MERGE_PATCH:
                return merge_patch(current, document)
            return strategic_merge(resource.node, current, document)
        except PatchError as error:
            raise writes.refuse_patch(error) from error

    return change


def _with_warnings(response: Response, how: How) -> Response:
    if not how.warnings:
        return response
    return Response(response.body, response.status, warnings=tuple(how.warnings))


def delete(cluster: Cluster, request: Request, target: Target) -> Response:
    """DELETE of one object: its last state, or a Status when it is gone."""
    how = how_of(request, target)
    body = request.document() or {}
    options = DeleteOptions.read(body, request.query)
    if body.get("dryRun"):
        how = How(dry_run=True)
    record, gone = deletes.delete(
        cluster, target.resource, target.namespace, target.name, options, how
    )
    if not gone:
        return _with_warnings(answer(request, target, record), how)
    resource = target.resource
    details = {
        "name": target.name,
        "group": resource.group,
        "kind": resource.plural,
        "uid": record.obj["metadata"]["uid"],
    }
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }
    return _with_warnings(Response.of(status), how)


def delete_collection(cluster: Cluster, request: Request, target: Target) -> Response:
    """DELETE of a collection."""
    how = how_of(request, target)
    body = request.document() or {}
    options = DeleteOptions.read(body, request.query)
    if body.get("dryRun"):
        how = How(dry_run=True)
    resource = target.resource
    records = deletes.delete_collection(
        cluster, resource, target.in_namespace, matchers(request, resource), options, how
    )
    return Response.of(
        {
            "kind": resource.kind_of_list,
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(cluster.store.version)},
            "items": [record.obj for record in records],
        }
    )
