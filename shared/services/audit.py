"""The audit trail: who did what, from where, before and after; append-only and chained by hash.

Each entry's hash covers the entry and the hash before it, per tenant. The database roles can insert
and read entries, not change them; `events.verify` finds what was done behind their back. Someone
who owns the database could rewrite the whole chain: export it where that matters.

Appending holds the end of the tenant's chain until the transaction ends, so it comes late in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.contract.reasons import ReasonCode
from shared.contract.trail import HASHED, entry_hash, flaw
from shared.services.caller import Caller
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Transaction

__all__ = ["HASHED", "Entry", "append", "append_all", "entry_hash", "flaw"]

_Q = load("audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to be remembered."""

    action: str
    """`extension.publish`, `rollout.pause`, …"""
    subject: str
    """`extension/ingress-nginx`, `cluster/eu-1`, `rollout/<id>`, …"""
    reason: ReasonCode | None = None
    message: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    """JSON-ready; never a secret."""


async def append(
    tx: Transaction,
    caller: Caller,
    action: str,
    subject: str,
    *,
    reason: ReasonCode | None = None,
    message: str = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Add one entry to the caller's tenant, in the transaction of what it tells of."""
    entry = Entry(action=action, subject=subject, reason=reason, message=message, data=data or {})
    await append_all(tx, caller, [entry])


async def append_all(tx: Transaction, caller: Caller, entries: Sequence[Entry]) -> None:
    """Add entries in their order."""
    if not entries:
        return
    head = await tx.one(_Q.take_head, tenant=caller.tenant)
    if head is None:
        raise AssertionError("an upsert returns its row")
    sequence, last_hash = head["sequence"], head["hash"]
    common = _common(caller, head["at"])
    rows = []
    for entry in entries:
        sequence += 1
        row = _own(entry) | {"sequence": sequence, "previous_hash": last_hash}
        last_hash = row["hash"] = entry_hash(common | row)
        rows.append(row)
    await tx.execute(_Q.append, **common, entries=jsonb(rows))
    await tx.execute(_Q.move_head, tenant=caller.tenant, sequence=sequence, hash=last_hash)


def _common(caller: Caller, at: datetime) -> dict[str, Any]:
    """What all entries of one call share."""
    trace = caller.traceparent.split("-")[1] if caller.traceparent else None
    return {
        "tenant": caller.tenant,
        "at": at,
        "actor": caller.actor,
        "address": caller.address,
        "trace_id": trace,
    }


def _own(entry: Entry) -> dict[str, Any]:
    """What an entry says itself."""
    return {
        "action": entry.action,
        "subject": entry.subject,
        "reason": entry.reason.value if entry.reason else None,
        "message": entry.message,
        "data": _as_stored(dict(entry.data)),
    }


def _as_stored(value: Any) -> Any:
    """The value as `jsonb` gives it back: 2.0 is 2 there, and a hash must not see a difference."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _as_stored(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_stored(item) for item in value]
    return value
