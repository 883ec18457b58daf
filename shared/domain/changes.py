"""Where two JSON documents differ, as RFC 6901 pointers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_ABSENT = object()


def changes(old: Any, new: Any) -> tuple[str, ...]:
    """Pointers to the smallest parts that differ, in order; lists count as one part each.

    An empty pointer means the documents as a whole. A chart's values are changed by replacing
    whole lists, so an index into one would tell less than the list's own path.
    """
    return tuple(_walk(old, new, ""))


def _walk(old: Any, new: Any, pointer: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            step = key.replace("~", "~0").replace("/", "~1")
            yield from _walk(old.get(key, _ABSENT), new.get(key, _ABSENT), f"{pointer}/{step}")
    elif type(old) is not type(new) or old != new:
        yield pointer
