"""The newest intent of a worker, and waiting that ends when something happens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from agent.clock import Clock
from agent.reconcile.seam import ReconcileGate
from shared.contract.desired import DesiredExtension
from shared.contract.reasons import ReasonCode


@dataclass(frozen=True)
class Intent:
    """What should be, and what the cluster allows."""

    desired: DesiredExtension
    gate: ReconcileGate


class Superseded(Exception):
    """The intent that is being worked on is not the newest any more."""


class Settled(Exception):
    """The verdict is told: there is nothing to do until a newer intent comes."""


class Pulse:
    """Tells one worker of newer intents and of whatever else should make it look."""

    def __init__(self, intent: Intent, clock: Clock) -> None:
        self.newest = intent
        self._clock = clock
        self._wake = asyncio.Event()

    def assign(self, intent: Intent) -> None:
        """Take a newer intent; the same one again changes nothing."""
        if intent != self.newest:
            self.newest = intent
            self._wake.set()

    def renew(self) -> None:
        """Have the newest intent pursued from its beginning, as if it had just come."""
        self.newest = replace(self.newest)
        self._wake.set()

    def beat(self) -> None:
        """Something happened: look."""
        self._wake.set()

    def stop_unless_newest(self, intent: Intent) -> None:
        """Raise Superseded when there is a newer one."""
        if self.newest is not intent:
            raise Superseded

    async def wait(self, seconds: float | None) -> None:
        """Return after `seconds`, or as soon as something happens."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def wait_whole(self, intent: Intent, seconds: float) -> None:
        """Wait out the whole pause: what happens does not shorten it, a newer intent does."""
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            self.stop_unless_newest(intent)
            await self.wait(left)
        self.stop_unless_newest(intent)


def closed(gate: ReconcileGate, clock: Clock) -> tuple[ReasonCode, float | None] | None:
    """Why nothing may be touched, and how many seconds that lasts."""
    if gate.suspend:
        return ReasonCode.SUSPENDED, None
    if gate.not_now is not None:
        left = (gate.not_now.until - clock.now()).total_seconds()
        if left > 0:
            return ReasonCode.NOT_NOW, left
    return None
