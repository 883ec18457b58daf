"""Waits out trouble of the API server's own, which is no fault of what is being applied.

It is bounded: trouble that stays, such as a webhook that nobody answers, has to be told as a
failure of what cannot be applied for it.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.clock import Clock
from agent.errors import StepFailed


class Patience:
    """How long is left for trouble in a row."""

    def __init__(self, clock: Clock, seconds: float, pause: Callable[[int], float]) -> None:
        """`pause` gives the seconds to wait after the first, second, … failure."""
        self._clock = clock
        self._seconds = seconds
        self._pause = pause
        self._since: float | None = None
        self._times = 0

    def wait_for(self, failure: StepFailed) -> float | None:
        """Seconds until the step is worth trying again as if nothing had been; None where the
        failure counts."""
        if not failure.passing:
            self._since, self._times = None, 0
            return None
        now = self._clock.monotonic()
        self._since = now if self._since is None else self._since
        self._times += 1
        left = self._since + self._seconds - now
        return min(left, self._pause(self._times)) if left > 0 else None
