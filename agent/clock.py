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


_NO_MATTER = CLOCK_SKEW_ALLOWED / 2


@dataclass
class ControlPlaneClock:
    """The control plane's time, as far as somebody vouches for it. What is judged is judged by it.

    A machine whose clock is wrong is told so, and works on. Three things tell the time, and are not
    worth the same:

    * the relay, over mTLS towards the pinned root: it is believed, and the monotonic clock carries
      its time on;
    * what the CA has signed: it is at least as late as that says;
    * the `Date` of an answer of the API, where anyone in whom TLS ends may write what they like. It
      decides nothing here and dates what we send (`PresumedClock`), until the relay was heard.
    """

    machine: Clock
    _vouched: tuple[datetime, float] | None = None
    """What the relay said, and the monotonic clock then."""
    _proven: datetime | None = None
    _ahead: timedelta = timedelta(0)
    """How far the machine's clock is ahead, if the last answer's `Date` is true."""

    @property
    def vouched(self) -> bool:
        """Whether the relay has told the time."""
        return self._vouched is not None

    def vouch(self, moment: datetime) -> timedelta:
        """Hear the time from the relay; returns how far the machine's clock is ahead of it."""
        self._vouched = (moment, self.machine.monotonic())
        return self.machine.now() - moment

    def prove(self, moment: datetime) -> None:
        """It is at least so late: the CA has signed that."""
        self._proven = max(moment, self._proven or moment)

    def hear(self, moment: datetime) -> timedelta:
        """Hear the time from an answer of the API; returns how far the machine's clock seems to
        be ahead: by the relay's time where that is known."""
        now = self.machine.now()
        self._ahead = now - moment
        return now - (self._relays() or moment)

    def now(self) -> datetime:
        """The relay's time, or the machine's before the relay was heard; none before what is
        proven."""
        return self._not_before_proven(self._close(self._relays()))

    def presumed(self) -> datetime:
        """The same, but that an answer's `Date` counts before the relay was heard."""
        told = self._relays() or self.machine.now() - self._ahead
        return self._not_before_proven(self._close(told))

    def monotonic(self) -> float:
        """As the machine's."""
        return self.machine.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await self.machine.sleep(seconds)

    def _relays(self) -> datetime | None:
        if self._vouched is None:
            return None
        moment, then = self._vouched
        return moment + timedelta(seconds=self.machine.monotonic() - then)

    def _close(self, told: datetime | None) -> datetime:
        """The machine's time unless it is off by more than is no matter."""
        now = self.machine.now()
        return now if told is None or abs(now - told) <= _NO_MATTER else told

    def _not_before_proven(self, moment: datetime) -> datetime:
        return moment if self._proven is None else max(moment, self._proven)


@dataclass(frozen=True)
class PresumedClock:
    """For what only the control plane judges: a wrong date is refused there, and tried again."""

    of: ControlPlaneClock

    def now(self) -> datetime:
        """The time that the control plane presumably has."""
        return self.of.presumed()

    def monotonic(self) -> float:
        """As the machine's."""
        return self.of.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await self.of.sleep(seconds)
