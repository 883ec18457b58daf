"""Cursor pages: the shape of every list."""

from __future__ import annotations

from typing import Generic, TypeVar

from shared.contract.base import WireModel

T = TypeVar("T")


class Page(WireModel, Generic[T]):
    """One page; `next_cursor` is absent on the last one. Cursors are opaque."""

    items: tuple[T, ...]
    next_cursor: str | None = None
