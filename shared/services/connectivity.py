"""The connectivity sweep: which clusters are there, by what the relays have heard of them.

Set-based: each step moves a bounded number of clusters in one statement, and writes an event only
for what changed. By the server's receive times; an agent's own clock decides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta

from shared.contract.limits import CLOCK_SKEW_ALLOWED, OFFLINE_AFTER_INTERVALS
from shared.contract.reasons import ReasonCode
from shared.services import audit, timers
from shared.services.audit import Entry
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.queries import Query, load
from shared.store.transaction import Row

_Q = load("connectivity")

NAME = "connectivity_sweep"
CLUSTERS_PER_STEP = 5_000
STEPS_PER_RUN = 20
STEP_SECONDS = 30.0

Describe = Callable[[Row], Entry]


async def sweep(cp: ControlPlane) -> int:
    """Bring every cluster's state up to date; the number of changes."""
    total = 0
    for query, describe in (
        (_Q.come_back, _came_back),
        (_Q.go_offline, _went_offline),
        (_Q.expire, _expired),
        (_Q.note_clocks, _clock),
    ):
        total += await _repeat(cp, query, describe)
    await _note_readiness(cp)
    await timers.note_run(cp, NAME)
    return total


async def _repeat(cp: ControlPlane, query: Query, describe: Describe) -> int:
    """Take step after step until one finds less than it may take."""
    total = 0
    for _ in range(STEPS_PER_RUN):
        moved = await _step(cp, query, describe)
        total += moved
        if moved < CLUSTERS_PER_STEP:
            break
    return total


async def _step(cp: ControlPlane, query: Query, describe: Describe) -> int:
    now = cp.clock()
    patience = timedelta(seconds=cp.settings.heartbeat_seconds) * OFFLINE_AFTER_INTERVALS
    async with timers.alone(cp, NAME, seconds=STEP_SECONDS) as tx:
        if tx is None:
            return 0
        rows = await tx.all(
            query,
            now=now,
            silent_since=now - patience,
            allowed_ms=round(CLOCK_SKEW_ALLOWED.total_seconds() * 1000),
            limit=CLUSTERS_PER_STEP,
        )
        by_tenant: dict[str, list[Entry]] = defaultdict(list)
        for row in rows:
            by_tenant[row["tenant_id"]].append(describe(row))
        # In one order, so that two transactions never wait for each other's chain.
        for tenant in sorted(by_tenant):
            await audit.append_all(tx, Caller.system(NAME, tenant), by_tenant[tenant])
    return len(rows)


async def _note_readiness(cp: ControlPlane) -> None:
    """For the condition's time only: how extensions fare has events of its own."""
    for _ in range(STEPS_PER_RUN):
        async with timers.alone(cp, NAME, seconds=STEP_SECONDS) as tx:
            if tx is None:
                return
            noted = await tx.execute(_Q.note_readiness, now=cp.clock(), limit=CLUSTERS_PER_STEP)
        if noted < CLUSTERS_PER_STEP:
            return


def _came_back(row: Row) -> Entry:
    return _entry(row, "cluster.connected", ReasonCode.CLUSTER_CONNECTED, "Heartbeats arrive again")


def _went_offline(row: Row) -> Entry:
    last = row["last_heartbeat"]
    heard = "never" if last is None else last.isoformat(timespec="seconds")
    message = f"No heartbeat for {OFFLINE_AFTER_INTERVALS} intervals; last heard of: {heard}"
    return _entry(row, "cluster.offline", ReasonCode.CLUSTER_OFFLINE, message)


def _expired(row: Row) -> Entry:
    message = "Its certificate has ended: register again with a bootstrap token bound to its name"
    return _entry(row, "cluster.expired", ReasonCode.CERTIFICATE_EXPIRED, message)


def _clock(row: Row) -> Entry:
    if row["status"] == "False":
        message = f"Its clock is {row['clock_skew_ms'] / 1000:.0f} s off"
        return _entry(row, "cluster.clock-skewed", ReasonCode.CLOCK_SKEWED, message)
    return _entry(row, "cluster.clock-synced", ReasonCode.CLOCK_SYNCED, "Its clock is right again")


def _entry(row: Row, action: str, reason: ReasonCode, message: str) -> Entry:
    return Entry(
        action=action,
        subject=f"cluster/{row['name']}",
        reason=reason,
        message=message,
        data={"clusterId": str(row["cluster_id"])},
    )
