"""Heartbeats in this process: the newest of each cluster, handed on together every second.

Bounded by the number of streams, whatever arrives and however long nobody takes them. They go to
Redis in one round trip; while Redis is away they go to Postgres, one statement for each batch; if
that is away as well they wait here, where newer ones take their place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from relay.metrics import RelayMetrics
from shared.domain.errors import ArcBridgeError
from shared.services import heartbeats
from shared.services.cluster_key import ClusterKey
from shared.services.heartbeats import ROWS_PER_STATEMENT, Heartbeat
from shared.services.hot_path import REDIS_ERRORS, HotPath
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

REDIS_REST_SECONDS = 5.0
"""After a failure Redis is left alone for this long, so that one that hangs costs little."""
REDIS_SECONDS = 1.0


class HeartbeatBuffer:
    """Cluster -> its newest heartbeat since the last time they were taken."""

    def __init__(self) -> None:
        self._newest: dict[ClusterKey, Heartbeat] = {}

    def __len__(self) -> int:
        return len(self._newest)

    def put(self, beat: Heartbeat) -> None:
        """Keep it unless a newer one is here."""
        before = self._newest.get(beat.key)
        if before is None or beat.is_newer_than(before):
            self._newest[beat.key] = beat

    def take(self) -> list[Heartbeat]:
        """All of them; the buffer is empty then."""
        taken, self._newest = self._newest, {}
        return list(taken.values())

    def give_back(self, beats: Iterable[Heartbeat]) -> None:
        """Those that could not be handed on."""
        for beat in beats:
            self.put(beat)


class HeartbeatFlusher:
    """Hands the buffer's content on."""

    def __init__(self, cp: HotPath, buffer: HeartbeatBuffer, metrics: RelayMetrics) -> None:
        self._cp = cp
        self._buffer = buffer
        self._metrics = metrics
        self._redis_rests_until = 0.0

    async def run(self, every_seconds: float) -> None:
        """Flush until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            await self.flush()

    async def flush(self) -> None:
        """Hand on what is here; what cannot be handed on stays."""
        beats = self._buffer.take()
        if not beats:
            return
        try:
            left = [] if await self._to_redis(beats) else await self._to_postgres(beats)
        except BaseException:  # cancelled in the middle: nothing may be lost by that
            self._buffer.give_back(beats)
            raise
        self._buffer.give_back(left)

    async def _to_redis(self, beats: list[Heartbeat]) -> bool:
        if time.monotonic() < self._redis_rests_until:
            return False
        try:
            with self._metrics.flush_seconds.labels("redis").time():
                async with asyncio.timeout(REDIS_SECONDS):
                    await heartbeats.post(self._cp.redis, beats)
        except REDIS_ERRORS as error:
            self._redis_rests_until = time.monotonic() + REDIS_REST_SECONDS
            self._metrics.flush_failures.labels("redis").inc()
            log.warning("redis takes no heartbeats", error=type(error).__name__)
            return False
        self._metrics.flushed.labels("redis").inc(len(beats))
        return True

    async def _to_postgres(self, beats: list[Heartbeat]) -> list[Heartbeat]:
        """Store them; what could not be stored is given back."""
        for start in range(0, len(beats), ROWS_PER_STATEMENT):
            part = beats[start : start + ROWS_PER_STATEMENT]
            try:
                with self._metrics.flush_seconds.labels("postgres").time():
                    await heartbeats.store(self._cp.db, part, self._cp.clock())
            except ArcBridgeError as error:
                self._metrics.flush_failures.labels("postgres").inc()
                log.warning("postgres takes no heartbeats", code=error.code)
                return beats[start:]
            self._metrics.flushed.labels("postgres").inc(len(part))
        return []
