"""Sessions whose streams ended here are let go in Postgres, some at a time.

A session that is not let go only looks alive until its heartbeats are old, so this waits for
nothing and loses what does not fit: over the bound the oldest are forgotten.
"""

from __future__ import annotations

import asyncio

from relay.stream import Stream
from shared.domain.errors import ArcBridgeError
from shared.services import sessions
from shared.services.cluster_key import ClusterKey
from shared.services.hot_path import HotPath
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

EVERY_SECONDS = 0.1
MOST = 20_000
BATCH = 2_000


class Releases:
    """Cluster -> epoch of the stream that ended."""

    def __init__(self, cp: HotPath, relay_id: str) -> None:
        self._cp = cp
        self._relay_id = relay_id
        self._ended: dict[ClusterKey, int] = {}
        self._arrived = asyncio.Event()

    def add(self, stream: Stream) -> None:
        """The stream has ended."""
        self._ended[stream.key] = max(stream.epoch, self._ended.pop(stream.key, 0))
        if len(self._ended) > MOST:
            del self._ended[next(iter(self._ended))]
        self._arrived.set()

    async def run(self) -> None:
        """Let go until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self.flush()
            await asyncio.sleep(EVERY_SECONDS)

    async def flush(self) -> None:
        """Let go of all that ended so far; what fails is forgotten, and said."""
        while self._ended:
            batch = {key: self._ended.pop(key) for key in list(self._ended)[:BATCH]}
            try:
                await sessions.release(self._cp, batch, relay_id=self._relay_id)
            except ArcBridgeError as error:
                log.warning("sessions not released", sessions=len(batch), code=error.code)
                return
            except BaseException:  # cancelled in the middle: the last flush takes them
                self._ended = batch | self._ended
                raise
