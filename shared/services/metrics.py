"""The service in numbers, for Prometheus: what only the database and Redis know.

One query for all of it, at most every few seconds per worker: a scrape must never be what brings
the database down. Labels are states and kinds; no tenant, no cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.domain.errors import ArcBridgeError
from shared.services import timers
from shared.services.control_plane import ControlPlane
from shared.store.queries import load
from shared.store.transaction import Row
from shared.telemetry.metrics import Registry

_Q = load("health")

REUSED_SECONDS = 5.0
QUERY_SECONDS = 10.0
_GAUGES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "clusters": ("arcbridge_clusters", "Clusters by connection state", ("state",)),
    "rollouts": ("arcbridge_rollouts_open", "Rollouts that are not over, by state", ("state",)),
    "slowed": (
        "arcbridge_rollouts_slowed",
        "Rollouts whose adaptive pace was lowered and not raised again since, by cause",
        ("reason",),
    ),
    "drifts": ("arcbridge_drifts_open", "Open drifts by kind", ("kind",)),
    "targets": ("arcbridge_targets_in_flight", "Released targets by state", ("state",)),
    "ca_not_after": (
        "arcbridge_ca_not_after_timestamp_seconds",
        "End of the issuing CA, and of the one prepared to follow, seconds since 1970",
        ("state",),
    ),
    "outbox_rows": ("arcbridge_outbox_rows", "Wake-ups that wait to be sent", ()),
    "outbox_age": ("arcbridge_outbox_oldest_seconds", "Age of the oldest such wake-up", ()),
    "heartbeat_lag": (
        "arcbridge_heartbeat_newest_seconds",
        "Age of the newest heartbeat stored: grows when flushing stops",
        (),
    ),
}


@dataclass(slots=True)
class _Last:
    """The last reading; scrapes that come at once wait for one query."""

    rows: list[Row] = field(default_factory=list)
    at: float = float("-inf")
    up: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Collector:
    """Reads and renders; made once per worker."""

    def __init__(self, cp: ControlPlane) -> None:
        self._cp = cp
        self._last = _Last()

    async def render(self) -> tuple[bytes, str]:
        """The numbers in the Prometheus text format, and its content type. Never fails: while the
        database does not answer, `arcbridge_postgres_up` is 0 and its numbers are left out."""
        async with self._last.lock:
            now = asyncio.get_running_loop().time()
            if now - self._last.at > REUSED_SECONDS:
                await self._read()
                self._last.at = now
        registry = Registry()
        self._add_rows(registry)
        await self._add_timers(registry)
        up = registry.gauge("arcbridge_postgres_up", "1 when the database answered")
        up.set(self._last.up)
        pool = registry.gauge("arcbridge_postgres_pool", "The worker's pool in numbers", ("what",))
        for what, value in self._cp.db.measure().items():
            pool.labels(what).set(value)
        return registry.render()

    async def _read(self) -> None:
        try:
            async with self._cp.db.platform(seconds=QUERY_SECONDS) as tx:
                self._last.rows = await tx.all(_Q.metrics, now=self._cp.clock())
                self._last.up = True
        except ArcBridgeError:
            self._last.rows, self._last.up = [], False

    def _add_rows(self, registry: Registry) -> None:
        gauges = {metric: registry.gauge(*about) for metric, about in _GAUGES.items()}
        for row in self._last.rows:
            gauge = gauges[row["metric"]]
            (gauge.labels(row["label"]) if row["label"] else gauge).set(row["value"])

    async def _add_timers(self, registry: Registry) -> None:
        gauge = registry.gauge(
            "arcbridge_timer_age_seconds",
            "Seconds since a timer last came to its end, over all workers",
            ("timer",),
        )
        for timer, age in (await timers.ages(self._cp)).items():
            gauge.labels(timer).set(age)
