"""What happens to an object before it is stored: decoding, strictness, defaults, validation."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from dev.kube import rules, validation
from dev.kube.defaults import apply_builtin_defaults
from dev.kube.errors import StatusError, bad_request, invalid
from dev.kube.identity import ADMINISTRATOR, User
from dev.kube.quantity import with_canonical_quantities
from dev.kube.resources import Resource
from dev.kube.schema import Json, Node

STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"


@dataclass(frozen=True)
class How:
    """How a write is made: by whom, to which subresource, with which checks.

    `warnings` collects what the answer says in `Warning` headers.
    """

    manager: str = "unknown"
    field_validation: str = WARN
    dry_run: bool = False
    force: bool = False
    subresource: str = ""
    user: User = ADMINISTRATOR
    warnings: list[str] = field(default_factory=list)


def decode(resource: Resource, obj: Any, how: How) -> Json:
    """A checked copy of a request body: right kind, right types, no unknown fields.

    Raises `StatusError` 400 for what cannot be decoded.
    """
    if not isinstance(obj, dict):
        raise bad_request("the body of the request is not a JSON object")
    obj = dict(obj)
    _check_kind(resource, obj)
    if obj.get("metadata") is None:
        obj["metadata"] = {}
    node = resource.node
    _check_types(resource, node, obj)
    unknown = validation.unknown_fields(node, obj)
    if unknown:
        _report_unknown(resource, unknown, how)
        obj = validation.prune(node, obj)
    if resource.custom:
        obj["metadata"] = validation.drop_nulls(node.fields["metadata"], obj["metadata"])
        return copy.deepcopy(obj)
    cleaned = with_canonical_quantities(node, validation.drop_nulls(node, obj))
    return cleaned if isinstance(cleaned, dict) else {}


def _check_kind(resource: Resource, obj: Json) -> None:
    given, kind = obj.get("apiVersion"), obj.get("kind")
    obj.setdefault("apiVersion", resource.api_version)
    obj.setdefault("kind", resource.kind)
    if kind and kind != resource.kind:
        raise bad_request(
            f"the object provided is unrecognized: kind {kind} is not {resource.kind}"
        )
    if given and given != resource.api_version:
        raise bad_request(
            f"the API version in the data ({given}) does not match the expected API version "
            f"({resource.api_version})"
        )


def _check_types(resource: Resource, node: Node, obj: Json) -> None:
    checked = {"metadata": obj["metadata"]} if resource.custom else obj
    for path, wanted, value in validation.wrong_types(node, checked):
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a '
            f"{resource.kind}: json: cannot unmarshal {_json_type(value)} into Go struct "
            f"field {resource.kind}.{path} of type {_GO_TYPES.get(wanted, wanted)}"
        )


_GO_TYPES = {"integer": "int32", "boolean": "bool", "number": "float64"}


def _json_type(value: Any) -> str:
    found = validation.type_name(value)
    return {"integer": "number", "boolean": "bool"}.get(found, found)


def _report_unknown(resource: Resource, unknown: list[str], how: How) -> None:
    lines = [f'unknown field "{path}"' for path in unknown]
    if how.field_validation == STRICT:
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a '
            f"{resource.kind}: strict decoding error: {', '.join(lines)}"
        )
    if how.field_validation == WARN:
        how.warnings.extend(lines)


def fill_defaults(resource: Resource, obj: Json) -> Json:
    """The object with the defaults of its kind; `obj` may be changed."""
    if resource.custom:
        filled = validation.apply_defaults(resource.node, obj)
        return filled if isinstance(filled, dict) else {}
    apply_builtin_defaults(resource.kind, obj)
    return obj


def validate(resource: Resource, obj: Json, old: Json | None) -> None:
    """Raise `StatusError` 422 for an object that must not be stored."""
    name = obj["metadata"].get("name", "")
    causes = rules.name_problems(resource.kind if not resource.custom else "", name)
    if resource.custom:
        body = {key: value for key, value in obj.items() if key != "metadata"}
        causes += rules.metadata_problems(obj["metadata"])
        causes += [
            item
            for item in validation.violations(resource.node, body)
            if item["field"] != "metadata"
        ]
    else:
        causes += rules.metadata_problems(obj["metadata"])
        causes += rules.missing_fields(resource.node, obj)
        seen = {item["field"] for item in causes}
        more = rules.object_problems(resource.kind, obj, old)
        causes += [item for item in more if item["field"] not in seen]
        # What is missing inside an absent object is said; that it is absent goes without saying.
        named = [item["field"] for item in causes]
        causes = [
            item
            for item in causes
            if not any(other.startswith(item["field"] + ".") for other in named)
        ]
    if causes:
        raise invalid(resource.kind, resource.group, name, causes)


def stale(resource: Resource, name: str) -> StatusError:
    """422 for an update that does not say which version it was made from."""
    text = "Invalid value: 0: must be specified for an update"
    cause = {
        "reason": "FieldValueInvalid",
        "message": text,
        "field": "metadata.resourceVersion",
    }
    return invalid(resource.kind, resource.group, name, [cause])
