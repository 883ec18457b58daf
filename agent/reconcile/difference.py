"""Field by field, how what is there differs from what a server-side apply would make of it. Pure.

Both sides come from the API server, so defaults and canonical spellings are equal on both; what
only the server writes is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent.reconcile.pointer import Token, pointer
from shared.contract.canonical import digest

Object = dict[str, Any]

ABSENT = object()
"""Stands for a field that is not there, which null would not."""

_SERVER_METADATA = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_ANNOTATIONS = ("metadata", "annotations")
_MERGE_KEYS = ("name", "containerPort", "mountPath", "devicePath", "port", "ip", "type", "key")


@dataclass(frozen=True)
class FieldDifference:
    """One field: where, what an apply would put there, what is there."""

    tokens: tuple[Token, ...]
    """In the observed object where the field is there, else in the desired one."""
    desired: Any
    """ABSENT when an apply would remove it."""
    observed: Any
    """ABSENT when it is missing."""

    @property
    def path(self) -> str:
        """RFC 6901."""
        return pointer(self.tokens)


def compare_objects(desired: Object, observed: Object) -> list[FieldDifference]:
    """The differences of two states of one object, in order of path."""
    found = _compare(comparable(desired), comparable(observed), ())
    return sorted(found, key=lambda difference: difference.path)


def comparable(obj: Object) -> Object:
    """Without status and what the server alone writes into metadata."""
    kept = {key: value for key, value in obj.items() if key != "status"}
    meta = obj.get("metadata") or {}
    kept["metadata"] = {k: v for k, v in meta.items() if k not in _SERVER_METADATA}
    return kept


def _compare(want: Any, have: Any, at: tuple[Token, ...]) -> Iterator[FieldDifference]:
    if isinstance(want, dict) and isinstance(have, dict):
        yield from _compare_dicts(want, have, at)
    elif isinstance(want, list) and isinstance(have, list):
        yield from _compare_lists(want, have, at)
    elif not _same(want, have):
        yield FieldDifference(at, want, have)


def _compare_dicts(
    want: dict[str, Any], have: dict[str, Any], at: tuple[Token, ...]
) -> Iterator[FieldDifference]:
    for key in want.keys() | have.keys():
        left, right = want.get(key, ABSENT), have.get(key, ABSENT)
        if (left is ABSENT and _empty(right)) or (right is ABSENT and _empty(left)):
            continue
        yield from _compare(left, right, (*at, key))


def _compare_lists(
    want: list[Any], have: list[Any], at: tuple[Token, ...]
) -> Iterator[FieldDifference]:
    key = _merge_key(want, have)
    if key is None:
        if len(want) == len(have):
            for index, (left, right) in enumerate(zip(want, have, strict=True)):
                yield from _compare(left, right, (*at, index))
        elif want != have:
            yield FieldDifference(at, want, have)
        return
    there = {item[key]: (index, item) for index, item in enumerate(have)}
    for index, item in enumerate(want):
        if item[key] in there:
            position, found = there.pop(item[key])
            yield from _compare(item, found, (*at, position))
        else:
            yield FieldDifference((*at, index), item, ABSENT)
    for index, item in there.values():
        yield FieldDifference((*at, index), ABSENT, item)


def _merge_key(want: list[Any], have: list[Any]) -> str | None:
    """The key that tells the items of both lists apart, or None."""
    items = [*want, *have]
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    for key in _MERGE_KEYS:
        if all(isinstance(item.get(key), str | int) for item in items) and all(
            len({item[key] for item in side}) == len(side) for side in (want, have)
        ):
            return key
    return None


def _same(want: Any, have: Any) -> bool:
    if isinstance(want, bool) != isinstance(have, bool):
        return False
    return bool(want == have)


def _empty(value: Any) -> bool:
    """Servers drop empty maps and lists, and null, as they please."""
    return value is None or value in ({}, [])


def overlaid(live: Any, declared: Any, *, with_others: bool = True) -> Any:
    """`live` with every declared field put on top, item by item where lists have a key.

    Items that only the live object has are others', as with an apply; they stay unless told so.
    """
    if isinstance(live, list) and isinstance(declared, list):
        return _overlaid_lists(live, declared, with_others=with_others)
    if not (isinstance(live, dict) and isinstance(declared, dict)):
        return copy.deepcopy(declared)
    merged = dict(live)
    for key, value in declared.items():
        merged[key] = (
            overlaid(live[key], value, with_others=with_others)
            if key in live
            else copy.deepcopy(value)
        )
    return merged


def _overlaid_lists(live: list[Any], declared: list[Any], *, with_others: bool) -> list[Any]:
    key = _merge_key(live, declared)
    if key is None:
        if len(live) != len(declared):
            return copy.deepcopy(declared)
        pairs = zip(live, declared, strict=True)
        return [overlaid(*pair, with_others=with_others) for pair in pairs]
    wanted = {item[key]: item for item in declared}
    there = [
        overlaid(item, wanted.pop(item[key], item), with_others=with_others)
        for item in live
        if with_others or item[key] in wanted
    ]
    return [*there, *copy.deepcopy(list(wanted.values()))]


def hide_secret(kind: str, api_version: str, found: FieldDifference) -> FieldDifference:
    """The difference with Secret data replaced by digests, so that a change still shows."""
    if (api_version, kind) != ("v1", "Secret") or not found.tokens:
        return found
    # The annotation that client-side apply leaves holds the whole object.
    told = found.tokens[0] in ("data", "stringData") or found.tokens[:2] == _ANNOTATIONS
    if not told:
        return found
    return FieldDifference(found.tokens, _hidden(found.desired), _hidden(found.observed))


def _hidden(value: Any) -> Any:
    if value is ABSENT:
        return ABSENT
    if isinstance(value, dict):
        return {key: _hidden(item) for key, item in value.items()}
    return digest(value)
