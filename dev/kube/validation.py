"""Checks JSON against a type tree: unknown fields, pruning, defaults, OpenAPI v3 constraints.

CEL rules (`x-kubernetes-validations`) are not evaluated.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from dev.kube import errors, quantity
from dev.kube.crd_schema import constraint_node
from dev.kube.errors import Cause
from dev.kube.schema import Json, Node

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def type_name(value: Any) -> str:
    """The JSON type of a value, as error texts name it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for name, types in _PYTHON_TYPES.items():
        if isinstance(value, types):
            return name
    return "unknown"


def _has_type(node: Node, value: Any) -> bool:
    if node.int_or_string:
        return isinstance(value, (int, str)) and not isinstance(value, bool)
    if not node.type:
        return True
    if node.format == quantity.FORMAT and node.raw is None:
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if isinstance(value, bool):
        return node.type == "boolean"
    if node.type == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _PYTHON_TYPES[node.type])


def wrong_types(node: Node, value: Any, path: str = "") -> list[tuple[str, str, Any]]:
    """Places whose JSON type is wrong: (path, expected type, value). Null passes everywhere."""
    if value is None:
        return []
    if not _has_type(node, value):
        return [(path, "integer or string" if node.int_or_string else node.type, value)]
    found = []
    if isinstance(value, dict):
        for key, below in value.items():
            found += wrong_types(node.child(key), below, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            found += wrong_types(node.items, item, f"{path}[{index}]")
    return found


def unknown_fields(node: Node, value: Any, path: str = "") -> list[str]:
    """Paths of members that the type does not have."""
    found: list[str] = []
    if isinstance(value, dict):
        for key, below in value.items():
            here = f"{path}.{key}".lstrip(".")
            if key in node.fields:
                found += unknown_fields(node.fields[key], below, here)
            elif node.values is not None:
                found += unknown_fields(node.values, below, here)
            elif not node.preserve_unknown and node.type:
                found.append(here)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            found += unknown_fields(node.items, item, f"{path}[{index}]")
    return found


def prune(node: Node, value: Any) -> Any:
    """The value without members that the type does not have."""
    if isinstance(value, dict):
        kept = {}
        for key, below in value.items():
            if key in node.fields:
                kept[key] = prune(node.fields[key], below)
            elif node.values is not None:
                kept[key] = prune(node.values, below)
            elif node.preserve_unknown or not node.type:
                kept[key] = below
        return kept
    if isinstance(value, list) and node.items is not None:
        return [prune(node.items, item) for item in value]
    return value


def drop_nulls(node: Node, value: Any) -> Any:
    """The value without null members, except where the type is nullable or unknown."""
    if isinstance(value, dict):
        return {
            key: drop_nulls(node.child(key), below)
            for key, below in value.items()
            if below is not None or node.child(key).nullable or not node.child(key).type
        }
    if isinstance(value, list) and node.items is not None:
        return [drop_nulls(node.items, item) for item in value]
    return value


def apply_defaults(node: Node, value: Any) -> Any:
    """The value with the schema's defaults for absent (and for null, not nullable) members."""
    if isinstance(value, dict):
        result = dict(value)
        for key, child in node.fields.items():
            missing = key not in result or (result[key] is None and not child.nullable)
            if missing and child.has_default:
                result[key] = copy.deepcopy(child.default)
        return {key: apply_defaults(node.child(key), below) for key, below in result.items()}
    if isinstance(value, list) and node.items is not None:
        return [apply_defaults(node.items, item) for item in value]
    return value


def violations(node: Node, value: Any, path: str = "") -> list[Cause]:
    """Everything that an OpenAPI v3 schema forbids in the value, as Status causes."""
    if value is None:
        if node.nullable or not node.type:
            return []
        text = f'{path or "<nil>"} in body must be of type {node.type}: "null"'
        return [errors.cause("FieldValueTypeInvalid", path, f'Invalid value: "null": {text}')]
    if not _has_type(node, value):
        shown = type_name(value)
        wanted = "integer or string" if node.int_or_string else node.type
        text = f'{path} in body must be of type {wanted}: "{shown}"'
        return [errors.cause("FieldValueTypeInvalid", path, f'Invalid value: "{shown}": {text}')]
    found = _constraints(node, value, path)
    if isinstance(value, dict):
        found += [
            errors.required(f"{path}.{key}".lstrip("."))
            for key in node.required
            if key not in value
        ]
        for key, below in value.items():
            found += violations(node.child(key), below, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if node.items is not None:
                found += violations(node.items, item, f"{path}[{index}]")
    return found


def _constraints(node: Node, value: Any, path: str) -> list[Cause]:
    raw = node.raw
    if raw is None:
        return []
    found = []
    if (allowed := raw.get("enum")) is not None and value not in allowed:
        found.append(errors.not_supported(path, value, [str(item) for item in allowed]))
    if isinstance(value, str):
        found += _string_constraints(raw, value, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found += _number_constraints(raw, value, path)
    elif isinstance(value, (list, dict)):
        found += _size_constraints(raw, value, path)
    return found + _combinators(raw, value, path)


def _string_constraints(raw: Json, value: str, path: str) -> list[Cause]:
    found = []
    if (pattern := raw.get("pattern")) and not re.search(pattern, value):
        text = f"{path} in body should match '{pattern}'"
        found.append(errors.invalid_value(path, value, text))
    if (low := raw.get("minLength")) is not None and len(value) < low:
        text = f"{path} in body should be at least {low} chars long"
        found.append(errors.invalid_value(path, value, text))
    if (high := raw.get("maxLength")) is not None and len(value) > high:
        text = f"Too long: may not be more than {high} bytes"
        found.append(errors.cause("FieldValueTooLong", path, text))
    return found


def _number_constraints(raw: Json, value: float, path: str) -> list[Cause]:
    found = []
    low, high = raw.get("minimum"), raw.get("maximum")
    if low is not None and (value < low or (raw.get("exclusiveMinimum") and value == low)):
        than = "greater than" if raw.get("exclusiveMinimum") else "greater than or equal to"
        found.append(errors.invalid_value(path, value, f"{path} in body should be {than} {low}"))
    if high is not None and (value > high or (raw.get("exclusiveMaximum") and value == high)):
        than = "less than" if raw.get("exclusiveMaximum") else "less than or equal to"
        found.append(errors.invalid_value(path, value, f"{path} in body should be {than} {high}"))
    if (step := raw.get("multipleOf")) and value % step:
        text = f"{path} in body should be a multiple of {step}"
        found.append(errors.invalid_value(path, value, text))
    return found


def _size_constraints(raw: Json, value: list[Any] | Json, path: str) -> list[Cause]:
    word, noun = ("Items", "items") if isinstance(value, list) else ("Properties", "properties")
    found = []
    if (low := raw.get(f"min{word}")) is not None and len(value) < low:
        text = f"{path} in body should have at least {low} {noun}"
        found.append(errors.invalid_value(path, len(value), text))
    if (high := raw.get(f"max{word}")) is not None and len(value) > high:
        text = f"Too many: {len(value)}: must have at most {high} items"
        found.append(errors.cause("FieldValueTooMany", path, text))
    return found


def _combinators(raw: Json, value: Any, path: str) -> list[Cause]:
    """`allOf`, `anyOf`, `oneOf`, `not`: in structural schemas these only constrain."""

    def fits(schema: Json) -> bool:
        return not violations(constraint_node(schema), value, path)

    found = []
    for schema in raw.get("allOf") or ():
        found += violations(constraint_node(schema), value, path)
    any_of = None if raw.get("x-kubernetes-int-or-string") else raw.get("anyOf")
    if any_of and not any(fits(schema) for schema in any_of):
        text = f"{path} in body must validate at least one schema (anyOf)"
        found.append(errors.invalid_value(path, value, text))
    if (one_of := raw.get("oneOf")) and sum(fits(schema) for schema in one_of) != 1:
        text = f"{path} in body must validate one and only one schema (oneOf)"
        found.append(errors.invalid_value(path, value, text))
    if (negated := raw.get("not")) and fits(negated):
        found.append(
            errors.invalid_value(path, value, f"{path} must not validate the schema (not)")
        )
    return found
