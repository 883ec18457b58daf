"""Fencing: finds the streams that must not go on, by asking Postgres.

Four things end a stream from outside: a newer session of its cluster anywhere, the revocation of
its certificate, the suspension of its tenant, and a database that was restored to a moment before
the stream was admitted. Redis tells of the first two at once, but Redis
may be lost or lie; so a hint only makes the relay look sooner, Postgres alone decides, and
revocations and suspensions are looked up every few seconds anyway.
While Postgres is away streams go on: nobody can revoke anything then either.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import timedelta

from relay.endings import Ending
from relay.metrics import RelayMetrics
from relay.registry import Registry
from shared.domain.errors import ArcBridgeError
from shared.services import sessions
from shared.services.cluster_key import ClusterKey
from shared.services.hot_path import HotPath
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

OVERLAP = timedelta(seconds=30)
"""`revoked_at` is when the revoking transaction began; none lasts as long as this, and no stream
takes as long to be admitted."""
EVERYTHING_SECONDS = 30.0
"""Every stream's epoch is compared this often while Redis works; at each look while it does not."""


class Fencing:
    """Looks, and ends what it finds."""

    def __init__(
        self, cp: HotPath, registry: Registry, metrics: RelayMetrics, every_seconds: float
    ) -> None:
        self._cp = cp
        self._registry = registry
        self._metrics = metrics
        self._every_seconds = every_seconds
        self._poked = asyncio.Event()
        self._suspects: set[ClusterKey] = set()
        self._revoked_from = cp.clock() - OVERLAP
        self._looked = time.monotonic()
        self._compared_all = time.monotonic()
        self.hints_arrive = False
        """Whether Redis is heard; without it every look compares every epoch."""

    def suspect(self, clusters: Iterable[tuple[ClusterKey, int]]) -> None:
        """Somebody says that these clusters have these epochs by now."""
        found = self._registry.suspects(clusters)
        if found:
            self._suspects.update(found)
            self._poked.set()

    def look_soon(self) -> None:
        """Somebody says that a certificate was revoked."""
        self._poked.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._every_seconds):
                    await self._poked.wait()
            except TimeoutError:
                pass
            self._poked.clear()
            try:
                await self.look()
            except ArcBridgeError as error:
                log.warning("revocations cannot be looked up", code=error.code)
                await asyncio.sleep(min(1.0, self._every_seconds))
            self._metrics.fencing_lag.set(time.monotonic() - self._looked)

    async def look(self) -> None:
        """Compare what is here with Postgres, once. Raises Unavailable."""
        began = self._cp.clock()
        revoked = await sessions.revoked_since(self._cp.db, self._revoked_from)
        self._revoked_from = began - OVERLAP
        for key, serial in revoked:
            stream = self._registry.get(key)
            if stream is not None and stream.serial == serial:
                stream.end(Ending.REVOKED)
        suspended = await sessions.suspended_tenants(self._cp.db)
        for stream in self._registry.all() if suspended else ():
            if stream.key.tenant in suspended:
                stream.end(Ending.SUSPENDED)
        await self._compare_epochs()
        self._looked = time.monotonic()

    async def _compare_epochs(self) -> None:
        everything = (
            not self.hints_arrive or time.monotonic() - self._compared_all > EVERYTHING_SECONDS
        )
        suspects, self._suspects = self._suspects, set()
        held = self._registry.epochs() if everything else {}
        held.update(self._registry.epochs(suspects))
        if not held:
            return
        try:
            changed = await sessions.changed_epochs(self._cp.db, held)
        except ArcBridgeError:
            self._suspects |= suspects  # to be asked about at the next look
            raise
        for key, epoch in changed.items():
            if epoch < held[key]:
                self._registry.forgotten(key, held[key])
            else:
                self._registry.superseded(key, epoch)
        if everything:
            self._compared_all = time.monotonic()
