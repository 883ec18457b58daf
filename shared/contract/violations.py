"""What pydantic found wrong, as field errors that name the field and the remedy.

The HTTP edge and the command line say the same words for the same mistake. An unknown field is
answered with the nearest known one. What was given is never repeated, because a misplaced field may
hold a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.contract import base, freeze
from shared.contract.errors import FieldError

SHOWN_AT_MOST: Final = 20
_SHOWN_NAMES: Final = 12
_VALUE_ERROR: Final = "Value error, "

FORMS: Mapping[str, str] = MappingProxyType(
    {
        base.NAME: "use a-z, 0-9 and -, from a letter or digit to a letter or digit, 63 at most",
        base.DIGEST: "write it as sha256: and 64 hexadecimal digits",
        base.LABEL_KEY: "use at most 63 of A-Z, a-z, 0-9, '.', '_' and -, from a letter or digit "
        "to a letter or digit; before it, if need be, a domain name and /",
        base.LABEL_VALUE: "use at most 63 of A-Z, a-z, 0-9, '.', '_' and -, from a letter or digit "
        "to a letter or digit",
        freeze.TIME_OF_DAY: "write it as HH:MM, from 00:00 to 23:59",
        freeze.TIME_ZONE: "use an IANA name such as Europe/Berlin",
    }
)
"""The patterns that people meet most, in words."""

Location = Sequence[str | int]
Schema = Mapping[str, Any]


def violations(
    error: ValidationError, *, nameless: str, schema: Callable[[], Schema] | None = None
) -> tuple[FieldError, ...]:
    """The first SHOWN_AT_MOST wrong fields. `nameless` is what was validated, where it is wrong as
    a whole; `schema` makes its JSON Schema, which knows the names that would be right."""
    found = error.errors(include_url=False, include_context=True, include_input=False)
    return tuple(_field_error(each, nameless, schema) for each in found[:SHOWN_AT_MOST])


def path_text(location: Location) -> str:
    """`spec.rollout.stages[0].soak` for a location."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _field_error(
    error: ErrorDetails, nameless: str, schema: Callable[[], Schema] | None
) -> FieldError:
    location = tuple(part for part in error["loc"] if part != "[key]")
    return FieldError(
        field=path_text(location) or nameless,
        message=_message(error),
        remedy=_remedy(error, location, schema),
    )


def _message(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "string_pattern_mismatch":
            return "does not have the form that it must have"
        case "too_long" if context.get("field_type") == "Value":  # a text behind a validator
            return f"has {context['actual_length']} characters; {context['max_length']} are allowed"
        case _:
            return error["msg"].removeprefix(_VALUE_ERROR)


def _remedy(
    error: ErrorDetails, location: Location, schema: Callable[[], Schema] | None
) -> str | None:
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "add it"
        case "extra_forbidden":
            known = known_names(schema(), location[:-1]) if schema else ()
            return _did_you_mean(str(location[-1]), known)
        case "enum" | "literal_error":
            return f"use {context.get('expected', 'one of the known values')}"
        case "string_pattern_mismatch":
            pattern = str(context.get("pattern"))
            return FORMS.get(pattern, f"it must match {pattern}")
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
