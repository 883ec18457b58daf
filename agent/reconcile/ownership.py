"""Which field managers own a field: reading `metadata.managedFields` (KEP-555). Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent.reconcile.pointer import Token

Object = dict[str, Any]


def owners_of(obj: Object, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Names of the managers that own the field at `tokens` of `obj`, or something below it.

    An atomic map or list is owned as a whole, and the leaf stands above the field. It is written
    as a map is whose manager has lost all that it had in it: who owns the field itself tells the
    two apart. Managers that wrote through the status subresource do not count. Sorted, each once.
    """
    found = [
        (str(entry.get("manager", "")), _steps_owned(entry["fieldsV1"], obj, list(tokens)))
        for entry in obj.get("metadata", {}).get("managedFields") or ()
        if entry.get("subresource") != "status" and isinstance(entry.get("fieldsV1"), dict)
    ]
    nearest = max((steps for _, steps in found), default=0)
    if nearest == 0 and tokens:
        return ()
    return tuple(sorted({manager for manager, steps in found if steps == nearest}))


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


def _steps_owned(fields: Object, value: Any, tokens: list[Token]) -> int:
    """Follow `tokens` through the field set and the object side by side: how many of them lead to
    what the set owns, 0 for none."""
    for steps, token in enumerate(tokens):
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
            return steps if fields == {} else 0
        fields = child
    return len(tokens)


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
