"""The generic cell rate algorithm (ITU-T I.371) as arithmetic on one number per bucket.

A bucket's whole state is its theoretical arrival time: when it will be full again. The interval
in force when that was written stands beside it, because a change of rate must change neither the
tokens that are there nor make any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_ROUNDING = 1e-6
"""Of a token: keeps floating point from losing a whole one."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a bucket fills, and how much it holds."""

    per_minute: float
    burst: int

    @property
    def interval(self) -> float:
        """Seconds for one token."""
        return 60.0 / self.per_minute

    @property
    def fill_seconds(self) -> float:
        """Seconds from empty to full."""
        return self.interval * self.burst


@dataclass(frozen=True, slots=True)
class Level:
    """A bucket's state: full again at `full_at` (seconds of the source's clock)."""

    full_at: float
    interval: float


def full(rate: Rate, now: float) -> Level:
    """A bucket that holds its whole burst."""
    return Level(now, rate.interval)


def empty(rate: Rate, now: float) -> Level:
    """A bucket that holds nothing: what an absent key stands for."""
    return Level(now + rate.fill_seconds, rate.interval)


def tokens(level: Level, rate: Rate, now: float) -> float:
    """How many tokens are there; less than zero never counts as a debt to pay twice."""
    missing = max(0.0, level.full_at - now) / level.interval
    return max(0.0, rate.burst - missing)


def available(level: Level, rate: Rate, now: float) -> int:
    """How many whole tokens can be taken."""
    return math.floor(tokens(level, rate, now) + _ROUNDING)


def take(level: Level, rate: Rate, count: int, now: float) -> Level:
    """The bucket after `count` tokens were taken. Raises ValueError when they are not there."""
    if count > available(level, rate, now):
        raise ValueError(f"{count} tokens wanted of a bucket that holds fewer")
    left = max(0.0, tokens(level, rate, now) - count)
    return Level(now + (rate.burst - left) * rate.interval, rate.interval)


def wait(level: Level, rate: Rate, now: float) -> float:
    """Seconds until one more whole token is there; 0 when one is."""
    return max(0.0, 1.0 - _ROUNDING - tokens(level, rate, now)) * rate.interval
