"""Reading the audit trail, and checking that nobody has changed it."""

from __future__ import annotations

from typing import Final

from shared.contract.archive import TrailEnd
from shared.contract.base import WireModel
from shared.contract.errors import ErrorCode, FieldError
from shared.contract.events import Event, EventVerification
from shared.contract.page import Page
from shared.contract.trail import TrailStretch
from shared.contract.wording import plural
from shared.domain.errors import ArcBridgeError
from shared.services import audit, cursors
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("audit")

CHECKED_AT_ONCE: Final = 2_000
"""Entries that are read together; the event loop waits while they are hashed."""
VERIFIED_AT_ONCE: Final = 100_000
"""Entries that one call checks: it has to answer within the client's 30 s, slowly served too."""
VERIFY_SECONDS: Final = 20.0
BEGINNING: Final = TrailEnd(sequence=0, hash="")


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


async def verify(
    cp: ControlPlane,
    caller: Caller,
    *,
    start: TrailEnd = BEGINNING,
    at_once: int = VERIFIED_AT_ONCE,
) -> EventVerification:
    """Follow the tenant's chain from an entry that was checked, as far as one call may go.

    The hash of `start` comes from the caller, who had it from the call before: the entry after it
    has to name that hash, so that many calls prove what one would. Raises InvalidRequest.
    """
    if bool(start.sequence) is not bool(start.hash):
        raise ArcBridgeError(
            ErrorCode.INVALID_REQUEST,
            "after and hash are of the same entry",
            errors=(
                FieldError(
                    field="hash" if start.sequence else "after",
                    message="missing beside the other",
                    remedy="give nextAfter and nextHash of the answer before, or neither",
                ),
            ),
        )
    async with cp.db.tenant(caller.tenant, seconds=VERIFY_SECONDS) as tx:
        head = await tx.one(_Q.read_head, tenant=caller.tenant) or {"sequence": 0, "hash": ""}
        return await _follow(tx, caller.tenant, head, start, at_once)


async def _follow(
    tx: Transaction, tenant: str, head: Row, start: TrailEnd, at_once: int
) -> EventVerification:
    sequence, last_hash = start.sequence, start.hash
    last = sequence + at_once
    if sequence > head["sequence"]:
        gone = f"the trail was checked to {sequence}, and by now ends at {head['sequence']}"
        return _broken(head["sequence"], head, gone)
    while sequence < last and (
        rows := await tx.all(
            _Q.follow,
            tenant=tenant,
            after=sequence,
            limit=min(CHECKED_AT_ONCE, last - sequence),
        )
    ):
        for row in rows:
            flaw = audit.flaw({**row, "tenant": tenant}, sequence, last_hash)
            if flaw is not None:
                return _broken(sequence, head, flaw)
            sequence, last_hash = row["sequence"], row["hash"]
            if sequence == head["sequence"] and last_hash != head["hash"]:
                return _broken(sequence - 1, head, "it is not the entry that was written last")
    # The head was read first: entries appended since then make the chain longer, never shorter.
    if last <= sequence < head["sequence"]:
        return EventVerification(
            intact=True,
            checked=sequence,
            written=head["sequence"],
            detail=f"{_entries(sequence)} of {head['sequence']}, each as it was written, so far",
            next_after=sequence,
            next_hash=last_hash,
        )
    if sequence < head["sequence"]:
        ends = f"the trail ends at {sequence}, but it was written to {head['sequence']}"
        return _broken(sequence, head, ends)
    return EventVerification(
        intact=True,
        checked=sequence,
        written=head["sequence"],
        detail=f"{_entries(sequence)}, each as it was written",
    )


def _broken(sequence: int, head: Row, detail: str) -> EventVerification:
    return EventVerification(
        intact=False,
        checked=sequence,
        written=head["sequence"],
        first_broken_sequence=sequence + 1,
        detail=detail,
    )


def _entries(count: int) -> str:
    return plural(count, "entry", "entries")


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
