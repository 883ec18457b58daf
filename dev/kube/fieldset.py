"""Sets of field paths, and their `fieldsV1` form (KEP-555, structured-merge-diff).

A path is a tuple of elements written as `fieldsV1` writes them: `f:spec` a member, `k:{"name":"a"}`
an item of an associative list, `v:"x"` an item of a set. A set of fields is a frozenset of paths.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dev.kube.schema import MAP, SET, Node

if TYPE_CHECKING:
    from collections.abc import Iterable

Path = tuple[str, ...]
FieldSet = frozenset[Path]

EMPTY: FieldSet = frozenset()


def compact(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def item_element(node: Node, item: Any) -> str | None:
    """The path element of a list item; None when the item lacks the keys of its list."""
    if node.list_type == SET:
        return "v:" + compact(item)
    if node.list_type != MAP or not isinstance(item, dict):
        return None
    keys = {}
    for key in node.list_keys:
        value = item.get(key, node.key_defaults.get(key))
        if value is None and node.items is not None and node.items.child(key).has_default:
            value = node.items.child(key).default
        if value is not None:
            keys[key] = value
    return "k:" + compact(keys) if keys else None


def to_fields_v1(fields: FieldSet) -> dict[str, Any]:
    """The nested `fieldsV1` document of a set."""
    root: dict[str, Any] = {}
    parents = {path[:depth] for path in fields for depth in range(1, len(path))}
    for path in sorted(fields):
        at = root
        for element in path:
            at = at.setdefault(element, {})
        if path in parents:
            at["."] = {}
    return root


def from_fields_v1(document: Any) -> FieldSet:
    """The set of a `fieldsV1` document; raises ValueError when it is not one."""
    found: list[Path] = []
    _collect(document, (), found)
    return frozenset(found)


def _collect(document: Any, prefix: Path, found: list[Path]) -> None:
    if not isinstance(document, dict):
        raise ValueError(f"not a fieldsV1 object at {prefix}")  # noqa: TRY004 - one error for all
    for element, below in document.items():
        if element == ".":
            found.append(prefix)
            continue
        if element[:2] not in {"f:", "k:", "v:", "i:"}:
            raise ValueError(f"unable to parse path element {element!r}")
        if below == {}:
            found.append((*prefix, element))
        else:
            _collect(below, (*prefix, element), found)


def with_named_fields(fields: FieldSet, node: Node) -> FieldSet:
    """`fields` plus every struct member on the way to them.

    `a.b.c` owns `a` as well when `a` is a named member of a struct, but not when it is the key of
    a free map.
    """
    found = set(fields)
    for path in fields:
        at: Node | None = node
        for depth, element in enumerate(path[:-1], start=1):
            if at is None:
                break
            if element.startswith("f:"):
                if element[2:] in at.fields:
                    found.add(path[:depth])
                at = at.child(element[2:])
            else:
                at = at.items
    return frozenset(found)


def without(fields: FieldSet, excluded: Iterable[Path]) -> FieldSet:
    """`fields` less every path that is one of `excluded` or lies below one."""
    prefixes = frozenset(excluded)
    longest = max((len(path) for path in prefixes), default=0)
    return frozenset(
        path
        for path in fields
        if not any(path[:depth] in prefixes for depth in range(1, min(len(path), longest) + 1))
    )


def render_path(path: Path) -> str:
    """A path as conflict messages print it: `.spec.containers[name="a"].image`."""
    parts = []
    for element in path:
        kind, rest = element[:2], element[2:]
        if kind == "f:":
            parts.append(f".{rest}")
        elif kind == "k:":
            keys = json.loads(rest)
            inner = ",".join(f"{key}={compact(keys[key])}" for key in sorted(keys))
            parts.append(f"[{inner}]")
        else:
            parts.append(f"[={rest}]" if kind == "v:" else f"[{rest}]")
    return "".join(parts)
