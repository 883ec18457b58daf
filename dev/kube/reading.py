"""GET: single objects and lists, in full, as tables or as metadata alone."""

from __future__ import annotations

import base64
import json
from typing import Any

from dev.kube import errors, tables
from dev.kube.cluster import Cluster
from dev.kube.convert import to_served
from dev.kube.http import METADATA, TABLE, Request, Response
from dev.kube.json_text import json_text
from dev.kube.resources import ObjectKey, Resource
from dev.kube.schema import Json
from dev.kube.selectors import Matcher, parse_fields, parse_labels
from dev.kube.store import Record
from dev.kube.target import Target
from dev.kube.writes import fetch


def body_of(resource: Resource, record: Record) -> bytes:
    """The JSON text of a record at the version of `resource`."""
    obj = to_served(resource, record.obj)
    if obj is record.obj:
        return record.body
    return json_text(obj)


def answer(request: Request, target: Target, record: Record, status: int = 200) -> Response:
    """One object, as the request wants to see it."""
    shape = request.shape()
    if shape == TABLE:
        metadata = {"resourceVersion": record.obj["metadata"].get("resourceVersion", "")}
        obj = to_served(target.resource, record.obj)
        include = request.query.get("includeObject", "Metadata")
        return Response.of(tables.table(target.resource, [obj], metadata, include), status)
    if shape == METADATA:
        return Response.of(tables.partial_metadata(record.obj), status)
    return Response(body_of(target.resource, record), status)


def get(cluster: Cluster, request: Request, target: Target) -> Response:
    """One object."""
    record = fetch(cluster, target.resource, target.namespace, target.name)
    wanted = request.query.get("resourceVersion", "")
    if wanted.isdigit() and int(wanted) > cluster.store.version:
        raise too_large(wanted, cluster.store.version)
    return answer(request, target, record)


def too_large(wanted: str, current: int) -> errors.StatusError:
    """504 for a resourceVersion from the future."""
    message = f"Too large resource version: {wanted}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return errors.StatusError(
        504, "Timeout", f"Timeout: {message}", {"causes": causes, "retryAfterSeconds": 1}
    )


def matchers(request: Request, resource: Resource) -> list[Matcher]:
    """The request's label and field selectors as tests on stored objects."""
    found = []
    labels = parse_labels(request.query.get("labelSelector", ""))
    if labels is not None:
        found.append(labels)
    fields = parse_fields(request.query.get("fieldSelector", ""), resource.selectable)
    if fields is not None:
        served = resource.api_version == resource.storage_version
        found.append(fields if served else lambda obj: fields(to_served(resource, obj)))
    return found


def list_objects(cluster: Cluster, request: Request, target: Target) -> Response:
    """A collection, whole or in pages of `limit`."""
    resource = target.resource
    bucket = cluster.store.bucket(resource.storage)
    version, start = cluster.store.version, None
    wanted = request.query.get("resourceVersion", "")
    if token := request.query.get("continue"):
        version, start = _read_token(token)
        if version < bucket.oldest:
            raise errors.gone(
                "The provided continue parameter is too old to display a consistent list result. "
                "You must start a new list without the continue parameter."
            )
    elif wanted.isdigit() and int(wanted) > version:
        raise too_large(wanted, version)
    limit = int(request.query.get("limit") or 0)
    tests = matchers(request, resource)
    chosen: list[Record] = []
    following: ObjectKey | None = None
    for record in bucket.after(target.in_namespace, start):
        if all(test(record.obj) for test in tests):
            if limit and len(chosen) == limit:
                following = chosen[-1].key
                break
            chosen.append(record)
    metadata: Json = {"resourceVersion": str(version)}
    if following is not None:
        metadata["continue"] = _write_token(version, following)
        if not tests:
            left = sum(1 for _ in bucket.after(target.in_namespace, following))
            metadata["remainingItemCount"] = left
    return _collection(request, target, chosen, metadata)


def _collection(
    request: Request, target: Target, records: list[Record], metadata: Json
) -> Response:
    resource, shape = target.resource, request.shape()
    if shape == TABLE:
        objects = [to_served(resource, record.obj) for record in records]
        include = request.query.get("includeObject", "Metadata")
        return Response.of(tables.table(resource, objects, metadata, include))
    if shape == METADATA:
        head: Json = {
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
        }
        items: list[Any] = [tables.partial_metadata(record.obj) for record in records]
        return Response.of({**head, "items": items})
    head = {
        "kind": resource.kind_of_list,
        "apiVersion": resource.api_version,
        "metadata": metadata,
    }
    opening = json.dumps(head, separators=(",", ":")).encode()[:-1]
    bodies = b",".join(body_of(resource, record) for record in records)
    return Response(opening + b',"items":[' + bodies + b"]}")


def _write_token(version: int, start: ObjectKey) -> str:
    text = json.dumps({"v": "sim/v1", "rv": version, "start": list(start)})
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_token(token: str) -> tuple[int, ObjectKey]:
    try:
        found = json.loads(base64.urlsafe_b64decode(token))
        namespace, name = found["start"]
        return int(found["rv"]), (str(namespace), str(name))
    except (ValueError, KeyError, TypeError) as error:
        raise errors.bad_request(f"continue key is not valid: {error}") from error
