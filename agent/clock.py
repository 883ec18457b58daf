"""Time as a parameter: the agent asks this for the time and never the system directly."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from shared.contract.limits import CLOCK_SKEW_ALLOWED


class Clock(Protocol):
    """Wall time for what people read, monotonic time for what is decided by."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since boot or so."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)


@dataclass
class ControlPlaneClock:
    """The wall clock as the control plane reads it: what is judged there is dated by this one.

    Assertions and certificates are good or not by the control plane's time. A machine whose clock
    is wrong is told so, and works on.
    """

    machine: Clock
    _ahead: timedelta = timedelta(0)
    """How far the machine's clock is ahead; less than half of what is allowed is no matter."""

    def learn(self, moment: datetime) -> timedelta:
        """Hear the control plane's time; returns how far the machine's clock is ahead of it."""
        skew = self.machine.now() - moment
        self._ahead = timedelta(0) if abs(skew) <= CLOCK_SKEW_ALLOWED / 2 else skew
        return skew

    def now(self) -> datetime:
        """The control plane's time, or the machine's before an answer told of a difference."""
        return self.machine.now() - self._ahead

    def monotonic(self) -> float:
        """As the machine's."""
        return self.machine.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await self.machine.sleep(seconds)
