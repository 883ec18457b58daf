"""Strategic merge patch: a merge patch that knows how the lists of built-in kinds merge.

Directives: `$patch: replace|delete|merge`, `$retainKeys`, `$setElementOrder/LIST` and
`$deleteFromPrimitiveList/LIST`. Custom resources have no such knowledge and refuse the patch.
"""

from __future__ import annotations

from typing import Any, Final

from dev.kube.json_patch import PatchError
from dev.kube.schema import UNTYPED, Node

_ORDER: Final = "$setElementOrder/"
_DELETE: Final = "$deleteFromPrimitiveList/"
_RETAIN: Final = "$retainKeys"
_PATCH: Final = "$patch"


def strategic_merge(node: Node, target: Any, patch: dict[str, Any]) -> dict[str, Any]:
    """`target` with `patch` laid over it; neither is changed. Raises PatchError."""
    directive = patch.get(_PATCH)
    if directive == "delete":
        return {}
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _PATCH}
    if directive not in {None, "merge"}:
        raise PatchError(f"Unknown patch type: {directive}")
    result = dict(target) if isinstance(target, dict) else {}
    if (kept := patch.get(_RETAIN)) is not None:
        result = {key: value for key, value in result.items() if key in kept}
    for key, value in patch.items():
        if key in {_PATCH, _RETAIN} or key.startswith((_ORDER, _DELETE)):
            continue
        _merge_member(node.child(key), result, key, value, patch)
    _lists_without_items(node, result, patch)
    return result


def _merge_member(
    node: Node, result: dict[str, Any], key: str, value: Any, patch: dict[str, Any]
) -> None:
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        result[key] = strategic_merge(node, result.get(key), value)
    elif isinstance(value, list) and "merge" in node.patch_strategy:
        current = result.get(key)
        result[key] = _merge_list(
            node, current if isinstance(current, list) else [], value, patch, key
        )
    else:
        result[key] = value


def _lists_without_items(node: Node, result: dict[str, Any], patch: dict[str, Any]) -> None:
    """Directives for lists that the patch adds nothing to."""
    for directive in patch:
        for prefix in (_ORDER, _DELETE):
            key = directive.removeprefix(prefix)
            if key != directive and key not in patch and isinstance(result.get(key), list):
                result[key] = _merge_list(node.child(key), result[key], [], patch, key)


def _merge_list(
    node: Node, current: list[Any], changes: list[Any], patch: dict[str, Any], name: str
) -> list[Any]:
    gone = patch.get(_DELETE + name, [])
    order = patch.get(_ORDER + name)
    if not node.patch_merge_key:
        merged = [item for item in current if item not in gone]
        merged += [item for item in changes if item not in merged]
        return _in_order(merged, order, lambda item: item)
    key = node.patch_merge_key
    if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in changes):
        return [item for item in changes if _PATCH not in item]
    merged = list(current)
    for change in changes:
        if not isinstance(change, dict) or key not in change:
            raise PatchError(f"map: {change} does not contain declared merge key: {key}")
        _merge_by_key(node.items or UNTYPED, merged, change, key)
    return _in_order(merged, order, lambda item: item.get(key))


def _merge_by_key(node: Node, merged: list[Any], change: dict[str, Any], key: str) -> None:
    places = [index for index, item in enumerate(merged) if item.get(key) == change[key]]
    if change.get(_PATCH) == "delete":
        for index in reversed(places):
            del merged[index]
    elif places:
        merged[places[0]] = strategic_merge(node, merged[places[0]], change)
    else:
        merged.append(strategic_merge(node, {}, change))


def _in_order(merged: list[Any], order: Any, key_of: Any) -> list[Any]:
    """Items named by `order` in that order; others stay behind the item they followed."""
    if not isinstance(order, list) or not order:
        return merged
    wanted = [key_of(item) for item in order]
    named = sorted(
        (item for item in merged if key_of(item) in wanted),
        key=lambda item: wanted.index(key_of(item)),
    )
    result: list[Any] = []
    for item in merged:
        if key_of(item) in wanted:
            result.append(named.pop(0))
        else:
            result.append(item)
    return result
