"""OpenAPI v3: an index, and one document per group version (KEP-2896); v2 for older clients.

Documents hold what clients read: the schemas with their group-version-kind and merge keys, and
for each resource the operations with their query parameters.
"""

from __future__ import annotations

from typing import Any, Final

from dev.kube.registry import Registry
from dev.kube.resources import Resource
from dev.kube.schema import ATOMIC, Json, Node

V2_PROTOBUF_ACCEPTED: Final = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
V2_PROTOBUF_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""As the API server answers it: what clients ask for is no valid media type."""
V2_PROTOBUF: Final = (
    b"\x0a\x032.0"  # swagger
    b"\x12\x17\x0a\x0aKubernetes\x12\x09simulated"  # info: title, version
    b"\x42\x00\x4a\x00"  # paths, definitions
)
"""`/openapi/v2` as gnostic's `openapi.v2.Document`: Go clients ask for it where v3 does not know a
kind. It knows none, either."""
_GVK: Final = "x-kubernetes-group-version-kind"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_PATCH_TYPES: Final = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    _STRATEGIC,
)
_METHODS: Final = {
    "get": ("pretty", "resourceVersion"),
    "put": ("dryRun", "fieldManager", "fieldValidation"),
    "patch": ("dryRun", "fieldManager", "fieldValidation", "force"),
    "delete": ("dryRun", "gracePeriodSeconds", "propagationPolicy"),
}


def index(registry: Registry, prefix: str) -> Json:
    """`/openapi/v3`: where the document of each group version is."""
    paths = {}
    for group, version in {(item.group, item.version): None for item in registry.all()}:
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        digest = registry.digest(group, version)
        paths[path] = {"serverRelativeURL": f"{prefix}/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def document(registry: Registry, group: str, version: str) -> Json | None:
    """`/openapi/v3/apis/GROUP/VERSION`."""
    served = [item for item in registry.all() if (item.group, item.version) == (group, version)]
    if not served:
        return None
    schemas: Json = {}
    paths: Json = {}
    for resource in served:
        name = _root_name(resource)
        schemas[name] = _object(resource.node, schemas, "#/components/schemas/")
        schemas[name][_GVK] = [_gvk(resource)]
        _add_paths(paths, resource, f"#/components/schemas/{name}")
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "simulated"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def document_v2(registry: Registry) -> Json:
    """`/openapi/v2`: every resource's definition in one document."""
    definitions: Json = {}
    for resource in registry.all():
        name = _root_name(resource)
        definitions[name] = _object(resource.node, definitions, "#/definitions/")
        definitions[name][_GVK] = [_gvk(resource)]
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "simulated"},
        "paths": {},
        "definitions": definitions,
    }


def _gvk(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _root_name(resource: Resource) -> str:
    group = ".".join(reversed(resource.group.split("."))) or "io.k8s.api.core"
    return f"{group}.{resource.version}.{resource.kind}"


def _object(node: Node, schemas: Json, base: str) -> Json:
    """The schema of an object; referenced models are added to `schemas`."""
    result: Json = {"type": "object"}
    if node.description:
        result["description"] = node.description
    if node.fields:
        result["properties"] = {
            key: _schema(child, schemas, base) for key, child in node.fields.items()
        }
    if node.required:
        result["required"] = list(node.required)
    if node.values is not None:
        result["additionalProperties"] = _schema(node.values, schemas, base)
    if node.atomic:
        result["x-kubernetes-map-type"] = ATOMIC
    if node.preserve_unknown:
        result["x-kubernetes-preserve-unknown-fields"] = True
    return result


def _schema(node: Node, schemas: Json, base: str) -> Json:
    if node.name:
        name = f"io.k8s.api.{node.name}"
        if name not in schemas:
            schemas[name] = {}
            schemas[name] = _object(node, schemas, base)
        return {"allOf": [{"$ref": base + name}], "default": {}}
    if node.int_or_string:
        return {"x-kubernetes-int-or-string": True, "format": "int-or-string"}
    if node.type == "object":
        return _object(node, schemas, base)
    result: Json = {"type": node.type} if node.type else {}
    result.update(_annotations(node))
    if node.items is not None:
        result["items"] = _schema(node.items, schemas, base)
    if not node.type and node.preserve_unknown:
        result["x-kubernetes-preserve-unknown-fields"] = True
    return result


def _annotations(node: Node) -> Json:
    found: dict[str, Any] = {
        "description": node.description,
        "format": node.format,
        "nullable": node.nullable,
        "x-kubernetes-list-map-keys": list(node.list_keys),
        "x-kubernetes-patch-strategy": ",".join(node.patch_strategy),
        "x-kubernetes-patch-merge-key": node.patch_merge_key,
    }
    found = {key: value for key, value in found.items() if value}
    if node.type == "array":
        found["x-kubernetes-list-type"] = node.list_type
    if node.has_default:
        found["default"] = node.default
    if node.raw and node.raw.get("enum"):
        found["enum"] = node.raw["enum"]
    return found


def _add_paths(paths: Json, resource: Resource, reference: str) -> None:
    prefix = f"/apis/{resource.api_version}" if resource.group else "/api/v1"
    where = f"{prefix}/namespaces/{{namespace}}" if resource.namespaced else prefix
    collection, one = f"{where}/{resource.plural}", f"{where}/{resource.plural}/{{name}}"
    answer = {"200": {"description": "OK", "content": _content(["application/json"], reference)}}
    paths[one] = {method: _operation(resource, method, reference, answer) for method in _METHODS}
    paths[collection] = {
        "get": _operation(resource, "get", reference, answer),
        "post": _operation(resource, "put", reference, answer),
    }
    if resource.has_status:
        paths[f"{one}/status"] = {"patch": _operation(resource, "patch", reference, answer)}


def _content(types: list[str], reference: str) -> Json:
    return {kind: {"schema": {"$ref": reference}} for kind in types}


def _operation(resource: Resource, method: str, reference: str, answer: Json) -> Json:
    operation: Json = {
        _GVK: _gvk(resource),
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in _METHODS[method]
        ],
        "responses": answer,
    }
    if method in {"put", "patch"}:
        types = ["application/json"]
        if method == "patch":
            # kubectl sends a strategic merge patch wherever one is offered.
            types = [kind for kind in _PATCH_TYPES if kind != _STRATEGIC or not resource.custom]
        operation["requestBody"] = {"content": _content(types, reference)}
    return operation
