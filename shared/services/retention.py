"""Retention: rows that nobody needs any more are deleted, a bounded number at a time.

The audit trail, revisions and rollouts are kept: they are the history that the product promises.
"""

from __future__ import annotations

from datetime import timedelta

from shared.contract.limits import IDEMPOTENCY_KEPT
from shared.services import purge, timers
from shared.services.control_plane import ControlPlane
from shared.store.queries import Query, load
from shared.telemetry.logs import get_logger

_Q = load("retention")
_log = get_logger(__name__)

NAME = "retention"
ROWS_PER_BATCH = 5_000
BATCHES_PER_RUN = 100
"""For each kind; what is left is for the next day."""
BATCH_SECONDS = 30.0

KEPT: tuple[tuple[Query, timedelta], ...] = (
    (_Q.status_events, timedelta(days=14)),
    (_Q.idempotency_keys, IDEMPOTENCY_KEPT),
    (_Q.drifts, timedelta(days=90)),
    (_Q.bootstrap_tokens, timedelta(days=30)),
    (_Q.certificates, timedelta(days=90)),
)


async def run(cp: ControlPlane) -> int:
    """Delete what is past its time; the number of rows deleted."""
    total = 0
    for query, kept in KEPT:
        deleted = await _delete(cp, query, kept)
        if deleted:
            _log.info("rows past their time deleted", kind=query.name, rows=deleted)
        total += deleted
    total += await purge.run(cp)
    await timers.note_run(cp, NAME)
    return total


async def _delete(cp: ControlPlane, query: Query, kept: timedelta) -> int:
    total = 0
    for _ in range(BATCHES_PER_RUN):
        async with timers.alone(cp, NAME, seconds=BATCH_SECONDS) as tx:
            if tx is None:
                return total
            deleted = await tx.execute(query, before=cp.clock() - kept, limit=ROWS_PER_BATCH)
        total += deleted
        if deleted < ROWS_PER_BATCH:
            break
    return total
