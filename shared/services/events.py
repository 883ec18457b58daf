"""Reading the audit trail, and checking that nobody has changed it."""

from __future__ import annotations

from shared.contract.archive import TrailEnd
from shared.contract.base import WireModel
from shared.contract.events import Event, EventVerification
from shared.contract.page import Page
from shared.contract.trail import TrailStretch
from shared.contract.wording import plural
from shared.services import audit, cursors
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("audit")

CHECKED_AT_ONCE = 2_000


class EventFilter(WireModel):
    """Which entries to show; absent fields match anything."""

    subject: str | None = None
    action: str | None = None
    actor: str | None = None


async def list_events(
    cp: ControlPlane,
    caller: Caller,
    *,
    chosen: EventFilter | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[Event]:
    """A page of the tenant's trail, newest first."""
    size = cursors.page_size(limit)
    after = cursors.decode_one(cursor, int)
    chosen = chosen or EventFilter()
    async with cp.db.tenant(caller.tenant) as tx:
        rows = await tx.all(
            _Q.list,
            tenant=caller.tenant,
            before=after,
            subject=chosen.subject,
            action=chosen.action,
            actor=chosen.actor,
            limit=size + 1,
        )
    return cursors.page(
        Page[Event], rows, size, as_event, lambda row: cursors.encode(row["sequence"])
    )


async def export(
    cp: ControlPlane, caller: Caller, *, after: int = 0, limit: int | None = None
) -> TrailStretch:
    """A stretch of the tenant's trail with its hashes, oldest first, from the entry `after`."""
    size = cursors.page_size(limit)
    async with cp.db.tenant(caller.tenant) as tx:
        head = await tx.one(_Q.read_head, tenant=caller.tenant) or {"sequence": 0, "hash": ""}
        rows = await tx.all(_Q.follow, tenant=caller.tenant, after=after, limit=size + 1)
    items = tuple(as_event(row) for row in rows[:size])
    return TrailStretch(
        tenant=caller.tenant,
        items=items,
        next_after=items[-1].sequence if len(rows) > size else None,
        end=TrailEnd(sequence=head["sequence"], hash=head["hash"]),
    )


async def verify(cp: ControlPlane, caller: Caller) -> EventVerification:
    """Follow the tenant's chain from its first entry to its recorded end."""
    async with cp.db.tenant(caller.tenant, seconds=60.0) as tx:
        head = await tx.one(_Q.read_head, tenant=caller.tenant) or {"sequence": 0, "hash": ""}
        return await _follow(tx, caller.tenant, head)


async def _follow(tx: Transaction, tenant: str, head: Row) -> EventVerification:
    sequence, last_hash = 0, ""
    while rows := await tx.all(_Q.follow, tenant=tenant, after=sequence, limit=CHECKED_AT_ONCE):
        for row in rows:
            flaw = audit.flaw({**row, "tenant": tenant}, sequence, last_hash)
            if flaw is not None:
                return EventVerification(
                    intact=False, checked=sequence, first_broken_sequence=sequence + 1, detail=flaw
                )
            sequence, last_hash = row["sequence"], row["hash"]
    # The head was read first: entries appended since then make the chain longer, never shorter.
    if sequence < head["sequence"]:
        return EventVerification(
            intact=False,
            checked=sequence,
            first_broken_sequence=sequence + 1,
            detail=f"the trail ends at {sequence}, but it was written to {head['sequence']}",
        )
    return EventVerification(
        intact=True,
        checked=sequence,
        detail=f"{plural(sequence, 'entry', 'entries')}, each as it was written",
    )


def as_event(row: Row) -> Event:
    """An entry as it is shown."""
    return Event(
        sequence=row["sequence"],
        at=row["at"],
        actor=row["actor"],
        address=row["address"],
        action=row["action"],
        subject=row["subject"],
        reason=row["reason"],
        message=row["message"],
        data=row["data"],
        trace_id=row["trace_id"],
        hash=row["hash"],
        previous_hash=row["previous_hash"],
    )
