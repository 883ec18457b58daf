"""Where two JSON documents differ, as RFC 6901 pointers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One part that differs; None stands for a part that is not there, too."""

    pointer: str
    before: Any
    after: Any


def compare(old: Any, new: Any) -> tuple[Change, ...]:
    """The smallest parts that differ, in order; lists count as one part each.

    An empty pointer means the documents as a whole. A chart's values are changed by replacing
    whole lists, so an index into one would tell less than the list's own path.
    """
    return tuple(_walk(old, new, ""))


def changes(old: Any, new: Any) -> tuple[str, ...]:
    """The pointers of what differs."""
    return tuple(change.pointer for change in _walk(old, new, ""))


def _walk(old: Any, new: Any, pointer: str) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            step = key.replace("~", "~0").replace("/", "~1")
            yield from _walk(old.get(key, _ABSENT), new.get(key, _ABSENT), f"{pointer}/{step}")
    elif type(old) is not type(new) or old != new:
        yield Change(pointer, *(None if part is _ABSENT else part for part in (old, new)))
