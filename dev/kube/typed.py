"""What structured-merge-diff does with typed values: field sets, comparison, merge, removal.

Values are plain JSON and are never changed; results share the parts that stayed the same. A `None`
argument means "absent", JSON null is `None` inside an object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dev.kube.fieldset import FieldSet, Path, item_element
from dev.kube.schema import MAP, SET, UNTYPED, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABSENT: Final = object()


def _granular_map(node: Node, value: Any) -> bool:
    return isinstance(value, dict) and not node.atomic


def _granular_list(node: Node, value: Any) -> bool:
    return isinstance(value, list) and node.list_type in {SET, MAP}


def _items(node: Node, value: Any) -> Iterator[tuple[str, Any]]:
    """Items of an associative list or set with their path elements, duplicates left out."""
    seen = set()
    for item in value or ():
        element = item_element(node, item)
        if element is not None and element not in seen:
            seen.add(element)
            yield element, item


def field_set(node: Node, value: Any) -> FieldSet:
    """Every field that `value` sets: what an apply configuration claims."""
    found: set[Path] = set()
    _claim(node, value, (), found)
    found.discard(())
    return frozenset(found)


def _claim(node: Node, value: Any, path: Path, found: set[Path]) -> None:
    if _granular_map(node, value):
        for key, below in value.items():
            here = (*path, f"f:{key}")
            _claim(node.child(key), below, here, found)
            if below is None or below == {} or key not in node.fields:
                found.add(here)
    elif _granular_list(node, value):
        for element, item in _items(node, value):
            here = (*path, element)
            _claim(node.items or UNTYPED, item, here, found)
            found.add(here)
    else:
        found.add(path)


@dataclass(slots=True)
class Comparison:
    """The fields in which two values differ."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def compare(node: Node, old: Any, new: Any) -> Comparison:
    """Which fields were added, modified and removed from `old` to `new`."""
    result = Comparison()
    _compare(node, old, new, (), result)
    for changed in (result.added, result.removed, result.modified):
        changed.discard(())
    return result


def _compare(node: Node, old: Any, new: Any, path: Path, out: Comparison) -> None:
    if old is not _ABSENT and new is not _ABSENT and old == new and type(old) is type(new):
        return
    some = new if new is not _ABSENT else old
    if _granular_map(node, some) and (some or _is_filled(old)):
        _compare_members(node, old, new, path, out)
    elif _granular_list(node, some) and (some or _is_filled(old)):
        _compare_items(node, old, new, path, out)
    elif old is not _ABSENT and new is not _ABSENT:
        out.modified.add(path)
    if old is _ABSENT:
        out.added.add(path)
    elif new is _ABSENT:
        out.removed.add(path)


def _is_filled(value: Any) -> bool:
    return isinstance(value, (dict, list)) and bool(value)


def _compare_members(node: Node, old: Any, new: Any, path: Path, out: Comparison) -> None:
    before = old if isinstance(old, dict) else {}
    after = new if isinstance(new, dict) else {}
    for key in before.keys() | after.keys():
        _compare(
            node.child(key),
            before.get(key, _ABSENT),
            after.get(key, _ABSENT),
            (*path, f"f:{key}"),
            out,
        )


def _compare_items(node: Node, old: Any, new: Any, path: Path, out: Comparison) -> None:
    before = dict(_items(node, old if isinstance(old, list) else ()))
    after = dict(_items(node, new if isinstance(new, list) else ()))
    for element in before.keys() | after.keys():
        _compare(
            node.items or UNTYPED,
            before.get(element, _ABSENT),
            after.get(element, _ABSENT),
            (*path, element),
            out,
        )


def merge(node: Node, old: Any, new: Any) -> Any:
    """`old` with the fields of `new` laid over it; atomic values are replaced."""
    if _granular_map(node, new) and isinstance(old, dict):
        result = dict(old)
        for key, value in new.items():
            result[key] = merge(node.child(key), old[key], value) if key in old else value
        return result
    if _granular_list(node, new) and isinstance(old, list):
        return _merge_items(node, old, new)
    return new


def _merge_items(node: Node, old: list[Any], new: list[Any]) -> list[Any]:
    """Items of both lists: those of `new` in its order, the others at their old place between."""
    before, after = dict(_items(node, old)), dict(_items(node, new))
    left, right = list(before), list(after)
    shared = [element for element in right if element in before]
    result: list[Any] = []
    taken: set[str] = set()
    at_left = at_right = 0
    while at_left < len(left) or at_right < len(right):
        element = left[at_left] if at_left < len(left) else None
        if element is not None and element not in after:
            result.append(before[element])
            at_left += 1
        elif element is not None and (element in taken or (shared and shared[0] != element)):
            # It stands where `new` has it.
            at_left += 1
        else:
            element = right[at_right]
            result.append(_merge_item(node, before, after, element))
            taken.add(element)
            at_right += 1
            if shared and shared[0] == element:
                shared.pop(0)
    return result


def _merge_item(node: Node, before: dict[str, Any], after: dict[str, Any], element: str) -> Any:
    if element not in before:
        return after[element]
    return merge(node.items or UNTYPED, before[element], after[element])


def remove(node: Node, value: Any, fields: FieldSet) -> Any:
    """`value` without the given fields; a map or list that this empties disappears too."""
    result = _remove(node, value, _tree(fields))
    return {} if result is _ABSENT else result


def _tree(fields: FieldSet) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in fields:
        at = root
        for element in path:
            at = at.setdefault(element, {})
        at["."] = True
    return root


def _remove(node: Node, value: Any, tree: dict[str, Any]) -> Any:
    if _granular_map(node, value):
        pairs = {}
        for key, below in value.items():
            branch = tree.get(f"f:{key}")
            kept = below if branch is None else _cut(node.child(key), below, branch)
            if kept is not _ABSENT:
                pairs[key] = kept
        return pairs if pairs else _ABSENT
    if _granular_list(node, value):
        kept_items = []
        for item in value:
            branch = tree.get(item_element(node, item) or "")
            kept = item if branch is None else _cut(node.items or UNTYPED, item, branch)
            if kept is not _ABSENT:
                kept_items.append(kept)
        return kept_items if kept_items else _ABSENT
    return value


def _cut(node: Node, value: Any, branch: dict[str, Any]) -> Any:
    if "." in branch:
        return _ABSENT
    return _remove(node, value, branch)
