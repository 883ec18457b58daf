"""Which field managers own a field: reading `metadata.managedFields` (KEP-555). Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent.reconcile.pointer import Token

Object = dict[str, Any]


def owners_of(obj: Object, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Names of the managers that own the field at `tokens` of `obj`, or something below it.

    Managers that wrote through the status subresource do not count. Sorted, each once.
    """
    names = {
        str(entry.get("manager", ""))
        for entry in obj.get("metadata", {}).get("managedFields") or ()
        if entry.get("subresource") != "status"
        and isinstance(entry.get("fieldsV1"), dict)
        and _owns(entry["fieldsV1"], obj, list(tokens))
    }
    return tuple(sorted(names))


def managers_of(obj: Object) -> tuple[str, ...]:
    """Every manager of the object but those of its status."""
    return tuple(
        sorted(
            {
                str(entry.get("manager", ""))
                for entry in obj.get("metadata", {}).get("managedFields") or ()
                if entry.get("subresource") != "status"
            }
        )
    )


def _owns(fields: Object, value: Any, tokens: list[Token]) -> bool:
    """Follow `tokens` through the field set and the object side by side."""
    for token in tokens:
        child: Object | None
        if isinstance(value, list):
            position = int(token)
            item = value[position] if position < len(value) else None
            child = _list_child(fields, item, position)
            value = item
        else:
            child = fields.get(f"f:{token}")
            value = value.get(str(token)) if isinstance(value, dict) else None
        if child is None:
            # An atomic map or list is owned as a whole: the leaf stands above the field.
            return fields == {}
        fields = child
    return True


def _list_child(fields: Object, item: Any, position: int) -> Object | None:
    for name, child in fields.items():
        if name.startswith("k:") and isinstance(item, dict):
            keys = _parsed(name[2:])
            if isinstance(keys, dict) and all(item.get(k) == v for k, v in keys.items()):
                return child if isinstance(child, dict) else {}
        elif name.startswith("v:") and _parsed(name[2:]) == item:
            return {}
        elif name == f"i:{position}":
            return child if isinstance(child, dict) else {}
    return None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
