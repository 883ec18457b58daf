"""Read a whole tenant out, page by page: only one that is suspended, because it stands still.

Its people and agents are refused and its rollouts rest while it is, so the pages fit each other
although each is a transaction of its own; its clusters run on. A page is bounded in bytes. That an
export began stands in the tenant's own trail, for its members to see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from shared.contract.archive import ArchiveKind, ArchivePage, ArchiveRecord, TrailEnd
from shared.contract.errors import ErrorCode
from shared.contract.tenant import Quotas, TenantState
from shared.domain.errors import ArcBridgeError
from shared.services import audit, cursors
from shared.services.caller import Caller
from shared.services.hot_path import HotPath
from shared.store.json import jsonb
from shared.store.queries import Query, load
from shared.store.transaction import Row, Transaction

_Q = load("archive")
_AUDIT = load("audit")

PAGE_BYTES: Final = 1024 * 1024
"""A page ends with the rows that reach this."""
PAGE_SECONDS: Final = 20.0
ROWS_AT_ONCE: Final = 500
FEW_AT_ONCE: Mapping[ArchiveKind, int] = MappingProxyType(
    {ArchiveKind.REVISIONS: 8, ArchiveKind.RESOLVED_SPECS: 8, ArchiveKind.DRIFTS: 50}
)
"""Of rows that may be a quarter of a mebibyte each."""


async def page(cp: HotPath, caller: Caller, name: str, cursor: str | None = None) -> ArchivePage:
    """The next stretch of a tenant. Raises NotFound; Conflict unless it is suspended."""
    if cursor is None:
        async with cp.db.platform() as tx:
            await _standing_still(tx, name)
            await _note(tx, caller, name)
    async with cp.db.platform(seconds=PAGE_SECONDS) as tx:
        await tx.execute(_Q.in_utc)
        tenant = await _standing_still(tx, name)
        items, after = await _read(tx, name, *_position(cursor))
        head = await tx.one(_AUDIT.read_head, tenant=name) or {"sequence": 0, "hash": ""}
    return ArchivePage(
        tenant=name,
        created_at=tenant["created_at"],
        quotas=Quotas.model_validate(tenant["quotas"]),
        trail=TrailEnd(sequence=head["sequence"], hash=head["hash"]),
        items=tuple(items),
        next_cursor=after,
    )


async def _standing_still(tx: Transaction, name: str) -> Row:
    row = await tx.one(_Q.lock_tenant, tenant=name)
    if row is None:
        raise ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no tenant named {name}")
    if row["importing"] is not None:
        raise ArcBridgeError(ErrorCode.CONFLICT, f"{name} is being imported: finish that first")
    if row["state"] != TenantState.SUSPENDED:
        raise ArcBridgeError(
            ErrorCode.CONFLICT,
            f"{name} is {row['state']}: suspend it, so that it stands still while it is read",
        )
    return row


def _position(cursor: str | None) -> tuple[ArchiveKind, Any]:
    """The kind to go on with, and the key after which; None for its beginning."""
    if cursor is None:
        return next(iter(ArchiveKind)), None
    kind, key = cursors.decode(cursor, str, str) or ("", "")
    try:
        return ArchiveKind(kind), json.loads(key)
    except ValueError as error:
        raise ArcBridgeError(
            ErrorCode.INVALID_REQUEST, "cursor: it is not one that this export gave out"
        ) from error


async def _read(
    tx: Transaction, name: str, kind: ArchiveKind, after: Any
) -> tuple[list[ArchiveRecord], str | None]:
    """Records from a position on, until a page is full or the tenant ends; and where to go on."""
    items: list[ArchiveRecord] = []
    size = 0
    kinds = list(ArchiveKind)
    for each in kinds[kinds.index(kind) :]:
        limit = FEW_AT_ONCE.get(each, ROWS_AT_ONCE)
        more = True
        while more:
            if size >= PAGE_BYTES:
                return items, cursors.encode(each.value, json.dumps(after))
            rows = await _rows(tx, name, each, after, limit)
            for row in rows:
                items.append(ArchiveRecord(kind=each, record=row["record"]))
                size += len(json.dumps(row["record"]))
                after = row["key"]
            more = len(rows) == limit
        after = None
    return items, None


async def _rows(tx: Transaction, name: str, kind: ArchiveKind, after: Any, limit: int) -> list[Row]:
    query: Query = getattr(_Q, f"read_{kind.value}")
    key = None if after is None else jsonb(after)
    return await tx.all(query, tenant=name, after=key, limit=limit)


async def _note(tx: Transaction, caller: Caller, name: str) -> None:
    acting = Caller(
        actor=caller.actor, tenant=name, address=caller.address, traceparent=caller.traceparent
    )
    await audit.append(tx, acting, "tenant.export", f"tenant/{name}")
