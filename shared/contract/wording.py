"""Wording that messages of all parts share."""

from __future__ import annotations


def plural(count: int, noun: str, many: str | None = None) -> str:
    """`1 cluster`, `2 clusters`; `many` is the noun's plural where it takes more than an s."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"
