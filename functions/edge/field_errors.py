"""pydantic's validation errors as field errors that name the field and the remedy.

An unknown field is answered with the nearest known one. What was sent is never repeated, because a
misplaced field may hold a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from shared.contract.errors import ErrorCode, FieldError
from shared.domain.errors import ArcBridgeError

SHOWN_AT_MOST = 20
_SHOWN_NAMES = 12
_VALUE_ERROR = "Value error, "

Location = Sequence[str | int]
Schema = Mapping[str, Any]


def invalid(error: ValidationError, adapter: TypeAdapter[Any], where: str) -> ArcBridgeError:
    """`InvalidRequest` with every wrong field; `where` is `body`, `query` or `path`."""
    found = error.errors(include_url=False, include_context=True, include_input=False)
    fields = tuple(_field_error(each, adapter, where) for each in found[:SHOWN_AT_MOST])
    count = "1 field is" if len(found) == 1 else f"{len(found)} fields are"
    return ArcBridgeError(
        ErrorCode.INVALID_REQUEST,
        f"{count} wrong in the {where}: {fields[0].field}: {fields[0].message}",
        errors=fields,
    )


def one(field: str, message: str, remedy: str | None = None) -> ArcBridgeError:
    """`InvalidRequest` because of a single field, parameter or header."""
    return ArcBridgeError(
        ErrorCode.INVALID_REQUEST,
        f"{field}: {message}",
        errors=(FieldError(field=field, message=message, remedy=remedy),),
    )


def path_text(location: Location) -> str:
    """`spec.rollout.stages[0].soak` for a location."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _field_error(error: ErrorDetails, adapter: TypeAdapter[Any], where: str) -> FieldError:
    location = tuple(part for part in error["loc"] if part != "[key]")
    return FieldError(
        field=path_text(location) or where,
        message=error["msg"].removeprefix(_VALUE_ERROR),
        remedy=_remedy(error, location, adapter),
    )


def _remedy(error: ErrorDetails, location: Location, adapter: TypeAdapter[Any]) -> str | None:
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "add it"
        case "extra_forbidden":
            schema = adapter.json_schema(by_alias=True)
            return _did_you_mean(str(location[-1]), known_names(schema, location[:-1]))
        case "enum" | "literal_error":
            return f"use {context.get('expected', 'one of the known values')}"
        case "string_pattern_mismatch":
            return f"it must match {context.get('pattern')}"
        case _:
            return None


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    folded = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean {folded[near[0]]}?"
    if not known:
        return "remove it"
    some = ", ".join(sorted(known)[:_SHOWN_NAMES])
    return f"remove it; known here: {some}{', …' if len(known) > _SHOWN_NAMES else ''}"


def known_names(schema: Schema, location: Location) -> tuple[str, ...]:
    """The property names that a JSON Schema knows at a location."""
    for candidate in _descend(schema, schema, location):
        names = tuple(candidate.get("properties", ()))
        if names:
            return names
    return ()


def _descend(root: Schema, node: Schema, location: Location) -> list[Schema]:
    nodes = _alternatives(root, node)
    for part in location:
        nodes = [
            alternative
            for each in nodes
            for child in _child(each, part)
            for alternative in _alternatives(root, child)
        ]
    return nodes


def _child(node: Schema, part: str | int) -> list[Schema]:
    if isinstance(part, int):
        child = node.get("items")
    else:
        child = node.get("properties", {}).get(part, node.get("additionalProperties"))
    return [child] if isinstance(child, dict) else []


def _alternatives(root: Schema, node: Schema) -> list[Schema]:
    """The node with its reference followed, or each side of a union."""
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        return _alternatives(root, root["$defs"][name])
    for union in ("anyOf", "oneOf", "allOf"):
        if union in node:
            return [found for each in node[union] for found in _alternatives(root, each)]
    return [node]
