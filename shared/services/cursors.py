"""Cursors of lists: where the next page starts, as opaque text.

A cursor holds the sort key of the last row shown, nothing that a caller could not see anyway, and
is bound like any other parameter; so it needs no signature.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from shared.contract.errors import ErrorCode, FieldError
from shared.contract.limits import PAGE_DEFAULT, PAGE_MAX
from shared.contract.page import Page
from shared.domain.errors import ArcBridgeError
from shared.store.transaction import Row

MAX_CHARACTERS = 1024
T = TypeVar("T", str, int)
Item = TypeVar("Item")


def encode(*key: str | int) -> str:
    """The cursor of a row's sort key."""
    text = json.dumps(key, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode(cursor: str | None, *kinds: type[T]) -> tuple[T, ...] | None:
    """The sort key in a cursor; None for the first page. Raises InvalidRequest."""
    if cursor is None:
        return None
    try:
        if len(cursor) > MAX_CHARACTERS:
            raise ValueError("too long")
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(key, list) or [type(part) for part in key] != list(kinds):
            raise ValueError("of another list")
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _refused("cursor", "it is not one that this list gave out") from error
    return tuple(key)


def decode_one(cursor: str | None, kind: type[T]) -> T | None:
    """The sort key in a cursor where it is a single value; None for the first page."""
    key = decode(cursor, kind)
    return None if key is None else key[0]


def decode_id(cursor: str | None) -> UUID | None:
    """The id in a cursor whose sort key is one; None for the first page. Raises InvalidRequest."""
    key = decode_one(cursor, str)
    if key is None:
        return None
    try:
        return UUID(key)
    except ValueError as error:
        raise _refused("cursor", "it is not one that this list gave out") from error


def decode_moment(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    """The time and id in a cursor whose sort key they are. Raises InvalidRequest."""
    key = decode(cursor, str, str)
    if key is None:
        return None, None
    try:
        moment = datetime.fromisoformat(key[0])
        if moment.tzinfo is None:
            raise ValueError("a time without its offset")
        return moment, UUID(key[1])
    except ValueError as error:
        raise _refused("cursor", "it is not one that this list gave out") from error


def page(
    kind: type[Page[Item]],
    rows: Sequence[Row],
    size: int,
    item: Callable[[Row], Item],
    cursor: Callable[[Row], str],
) -> Page[Item]:
    """A page out of rows of which one more than `size` was asked for."""
    shown = rows[:size]
    return kind(
        items=tuple(item(row) for row in shown),
        next_cursor=cursor(shown[-1]) if len(rows) > size else None,
    )


def page_size(limit: int | None) -> int:
    """The number of items to show. Raises InvalidRequest outside of 1 to 500."""
    if limit is None:
        return PAGE_DEFAULT
    if not 1 <= limit <= PAGE_MAX:
        raise _refused("limit", f"it must be between 1 and {PAGE_MAX}")
    return limit


def _refused(field: str, why: str) -> ArcBridgeError:
    return ArcBridgeError(
        ErrorCode.INVALID_REQUEST,
        f"{field} cannot be used: {why}",
        errors=(FieldError(field=field, message=why),),
    )
