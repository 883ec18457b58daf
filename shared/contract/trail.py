"""The audit trail's chain of hashes: how an entry is hashed, and what is wrong with one. Pure.

Part of the contract, so that an exported trail can be checked by anyone, without the server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from shared.contract.archive import TrailEnd
from shared.contract.base import Name, WireModel
from shared.contract.canonical import canonical_json
from shared.contract.events import Event

HASHED = (
    "sequence", "at", "actor", "address", "action", "subject", "reason", "message", "data",
    "trace_id", "previous_hash", "hash",
)  # fmt: skip
"""The fields of a stored entry that its hash covers, beside the tenant; and the hash."""


class TrailStretch(WireModel):
    """The answer of GET /events/export: entries in their order, oldest first."""

    tenant: Name
    """Part of what each hash covers."""
    items: tuple[Event, ...]
    next_after: int | None = Field(default=None, ge=1)
    """The sequence to go on after; absent at the end."""
    end: TrailEnd
    """Where the trail ended when it was read."""


def entry_hash(row: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, over an entry's canonical JSON, the hash before it included."""
    at: datetime = row["at"]
    content = {
        "tenant": row["tenant"],
        "sequence": row["sequence"],
        "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": row["actor"],
        "address": row["address"],
        "action": row["action"],
        "subject": row["subject"],
        "reason": row["reason"],
        "message": row["message"],
        "data": row["data"],
        "traceId": row["trace_id"],
        "previousHash": row["previous_hash"],
    }
    return hashlib.sha256(canonical_json(content)).hexdigest()


def flaw(row: Mapping[str, Any], before: int, last_hash: str) -> str | None:
    """What is wrong with the next entry of a chain that came to `before`; None for nothing."""
    if row["sequence"] != before + 1:
        return f"entry {before + 1} is missing"
    if row["previous_hash"] != last_hash:
        return f"entry {row['sequence']} does not follow the one before it"
    if entry_hash(row) != row["hash"]:
        return f"entry {row['sequence']} was changed"
    return None
