"""Writes the resource's status: soon after something changed, seldom for heartbeats alone.

A write that fails is tried again with what is true by then; nothing waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent.clock import Clock
from agent.cluster.resource import API_VERSION, KIND
from agent.cluster.status import StatusFacts, render_status, without_heartbeat
from agent.errors import KubeError
from agent.kube.client import KubeClient
from agent.waiting import wait_for
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

GATHER_SECONDS = 0.2
"""Changes come in groups; they are written together."""
LOOK_SECONDS = 5.0
"""How often the extensions are looked at when nobody said that something changed."""
HEARTBEATS_PER_WRITE = 5
RETRY_SECONDS = 5.0


@dataclass
class StatusWriter:
    """Keeps one resource's status true."""

    kube: KubeClient
    name: str
    clock: Clock
    facts: Callable[[], StatusFacts]
    heartbeat_seconds: Callable[[], float]
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _written: dict[str, Any] | None = None
    _written_at: float = 0.0

    def change(self) -> None:
        """Something that the status shows may have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if await wait_for(self._changed, LOOK_SECONDS):
                await self.clock.sleep(GATHER_SECONDS)
            self._changed.clear()
            await self.write_if_due()

    async def write_if_due(self) -> None:
        """Write when it would say something new."""
        status = render_status(self.facts())
        if not self._is_due(status):
            return
        try:
            resource = await self.kube.resource(API_VERSION, KIND)
            await self.kube.patch(
                resource, self.name, None, {"status": status}, subresource="status"
            )
        except KubeError as error:
            log.warning("status of the resource could not be written", error=str(error))
            self._changed.set()
            await self.clock.sleep(RETRY_SECONDS)
            return
        self._written, self._written_at = status, self.clock.monotonic()

    def _is_due(self, status: dict[str, Any]) -> bool:
        if self._written is None:
            return True
        if without_heartbeat(status) != without_heartbeat(self._written):
            return True
        if status["lastHeartbeat"] == self._written["lastHeartbeat"]:
            return False
        age = self.clock.monotonic() - self._written_at
        return age >= HEARTBEATS_PER_WRITE * self.heartbeat_seconds()
