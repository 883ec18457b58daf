"""How long to wait before trying again: full jitter, so that a fleet does not come back at once.

Pure: the random number is a parameter. Source: "Exponential Backoff And Jitter", AWS Architecture
Blog, 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Random = Callable[[], float]
"""Gives a number in [0, 1)."""


@dataclass(frozen=True)
class Backoff:
    """A ceiling that doubles with each failure; the wait is anywhere below it."""

    base_seconds: float = 1.0
    """The first ceiling."""
    cap_seconds: float = 120.0
    """The highest ceiling."""
    floor_seconds: float = 0.05
    """The shortest wait: a failure at once must not become a busy loop."""

    def ceiling(self, failures: int) -> float:
        """Seconds that the wait after the `failures`-th failure in a row stays below."""
        doublings = min(max(failures, 1) - 1, 32)
        return min(self.cap_seconds, self.base_seconds * 2.0**doublings)

    def delay(self, failures: int, random: Random) -> float:
        """Seconds to wait after the `failures`-th failure in a row."""
        return max(self.floor_seconds, random() * self.ceiling(failures))


def spread(seconds: float, fraction: float, random: Random) -> float:
    """`seconds` ± `fraction` of it, evenly: heartbeats and polls of a fleet drift apart."""
    return seconds * (1.0 + fraction * (2.0 * random() - 1.0))
