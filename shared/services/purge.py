"""Removes what a deleted tenant has left, a bounded number of rows at a time.

Run by the retention timer. The audit trail and the tenant's name stay: who did what is the history
that the product promises, and a name given again would stand for someone else.
"""

from __future__ import annotations

from typing import Final

from shared.services import timers
from shared.services.control_plane import ControlPlane
from shared.store.queries import Query, load
from shared.telemetry.logs import get_logger

_Q = load("purge")
_log = get_logger(__name__)

NAME = "purge"
ROWS_PER_BATCH = 5_000
BATCHES_PER_RUN = 200
BATCH_SECONDS = 30.0

ORDER: Final[tuple[Query, ...]] = tuple(
    query for query in _Q if query.name not in ("deleted_tenants", "mark_purged")
)
"""One statement for each table, children before parents, as they stand in the file."""


async def run(cp: ControlPlane) -> int:
    """Remove rows of every deleted tenant; the number of rows removed."""
    async with cp.db.platform() as tx:
        rows = await tx.all(_Q.deleted_tenants)
    return sum([await _purge(cp, row["tenant_id"]) for row in rows])


async def _purge(cp: ControlPlane, tenant: str) -> int:
    total = 0
    for query in ORDER:
        for _ in range(BATCHES_PER_RUN):
            async with timers.alone(cp, NAME, seconds=BATCH_SECONDS) as tx:
                if tx is None:
                    return total
                removed = await tx.execute(query, tenant=tenant, limit=ROWS_PER_BATCH)
            total += removed
            if removed < ROWS_PER_BATCH:
                break
        else:
            return total  # more than one run takes; the next one goes on
    async with cp.db.platform() as tx:
        await tx.execute(_Q.mark_purged, tenant=tenant, now=cp.clock())
    _log.info("tenant purged", tenant=tenant, rows=total)
    return total
