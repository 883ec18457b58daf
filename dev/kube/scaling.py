"""The scale subresource (`autoscaling/v1 Scale`) of built-in and custom resources."""

from __future__ import annotations

from typing import Any

from dev.kube import errors, writes
from dev.kube.changing import how_of
from dev.kube.cluster import Cluster
from dev.kube.convert import to_served
from dev.kube.http import Request, Response
from dev.kube.json_patch import PatchError, json_patch, merge_patch
from dev.kube.jsonpath import first_value
from dev.kube.resources import Resource, ScalePaths
from dev.kube.schema import Json
from dev.kube.store import Record
from dev.kube.target import Target


def serve_scale(cluster: Cluster, request: Request, target: Target) -> Response:
    """GET, PUT and PATCH of a Scale."""
    resource = target.resource
    record = writes.fetch(cluster, resource, target.namespace, target.name)
    if request.method == "GET":
        return Response.of(_scale(resource, record))
    if request.method not in {"PUT", "PATCH"}:
        raise errors.method_not_allowed()
    wanted = _wanted(request, _scale(resource, record))
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        text = "must be greater than or equal to 0"
        cause = errors.invalid_value("spec.replicas", replicas, text)
        raise errors.invalid("Scale", "autoscaling", target.name, [cause])
    version = (wanted.get("metadata") or {}).get("resourceVersion")
    new = Record(to_served(resource, record.obj), record.version).thaw()
    paths = resource.scale or ScalePaths()
    _put(new, paths.spec_replicas.split("."), replicas)
    if version:
        new["metadata"]["resourceVersion"] = version
    how = how_of(request, target)
    stored = writes.replace(cluster, resource, record, new, how)
    return Response.of(_scale(resource, stored))


def _wanted(request: Request, current: Json) -> Json:
    document: Any = request.document()
    try:
        match request.content_type:
            case "application/json-patch+json":
                result = json_patch(current, document)
            case kind if kind.endswith(("patch+json", "patch+yaml")):
                result = merge_patch(current, document)
            case _:
                result = document
    except PatchError as error:
        raise writes.refuse_patch(error) from error
    if not isinstance(result, dict):
        raise errors.bad_request("the body of the request is not a Scale")
    return result


def _put(obj: Json, path: list[str], value: Any) -> None:
    for part in path[:-1]:
        obj = obj.setdefault(part, {})
    obj[path[-1]] = value


def _selector(obj: Json, paths: ScalePaths) -> str:
    if paths.selector:
        return str(first_value(obj, paths.selector) or "")
    selector = (obj.get("spec") or {}).get("selector") or {}
    labels = selector.get("matchLabels", {}) if "matchLabels" in selector else selector
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _scale(resource: Resource, record: Record) -> Json:
    obj, paths = record.obj, resource.scale or ScalePaths()
    metadata = {
        key: obj["metadata"][key]
        for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if key in obj["metadata"]
    }
    status: Json = {"replicas": first_value(obj, paths.status_replicas) or 0}
    selector = _selector(obj, paths)
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": first_value(obj, paths.spec_replicas) or 0},
        "status": status,
    }
