"""The drift sweep: version drift and silence over the whole fleet, in one SQL pass.

Opens and closes drifts, and writes an event only for what changed. How often a cluster is looked at
is the agent's business; this only notices that it was not.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from shared.contract.reasons import ReasonCode
from shared.services import audit, ids, timers
from shared.services.audit import Entry
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.queries import load
from shared.store.transaction import Row

_Q = load("drift")

NAME = "drift_sweep"
OPENED_PER_PASS = 2_000
PASSES_PER_RUN = 10
PASS_SECONDS = 120.0
GRACE = timedelta(minutes=10)
"""From a release until what runs must be what was released, outside of any rollout."""

_MESSAGES = {
    "version": "What is applied is not what was released",
    "silence": "No check for three of its intervals, though the agent is connected",
    "manifest": "Live objects differ from what the revision renders",
}


async def sweep(cp: ControlPlane) -> int:
    """Bring the open drifts up to date; the number of changes."""
    total = 0
    for _ in range(PASSES_PER_RUN):
        async with timers.alone(cp, NAME, seconds=PASS_SECONDS) as tx:
            if tx is None:
                return total
            rows = await tx.all(
                _Q.sweep,
                now=cp.clock(),
                grace=GRACE,
                ids=[ids.new_id() for _ in range(OPENED_PER_PASS)],
            )
            by_tenant: dict[str, list[Entry]] = defaultdict(list)
            for row in rows:
                by_tenant[row["tenant_id"]].append(_entry(row))
            for tenant in sorted(by_tenant):
                await audit.append_all(tx, Caller.system(NAME, tenant), by_tenant[tenant])
        total += len(rows)
        if sum(row["is_open"] for row in rows) < OPENED_PER_PASS:
            break
    await timers.note_run(cp, NAME)
    return total


def _entry(row: Row) -> Entry:
    opened = row["is_open"]
    return Entry(
        action="drift.open" if opened else "drift.close",
        subject=f"cluster/{row['cluster']}",
        reason=ReasonCode.DRIFT_DETECTED if opened else ReasonCode.NO_DRIFT_DETECTED,
        message=_MESSAGES[row["kind"]] if opened else "It is over",
        data={"extension": row["extension"], "kind": row["kind"], "revision": row["revision"]},
    )
