"""What is known of an adaptive rollout's rate: the rate itself, and the evidence for the next one.

State only; `adaptive` is the law by which it changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.contract.reasons import ReasonCode
from shared.contract.strategy import Pace

SLOW_FACTOR: Final = 2.0
SLOW_SLACK_SECONDS: Final = 2.0
"""Slow is beyond this multiple of the baseline, and by more than the slack: noise is not slow."""
SHORTEST_SPAN: Final = timedelta(seconds=15)
LONGEST_SPAN: Final = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Pressure:
    """What is seen of targets in flight and of the control plane, beside the targets that end."""

    in_flight: int = 0
    """Targets looked at that are not Ready yet."""
    without_artifact: int = 0
    """Of these, those that report that they cannot get their artifact."""
    overdue_seconds: tuple[float, ...] = ()
    """Ages of those that already take longer than `Pacing.slow_seconds`."""
    lag_seconds: float = 0.0
    """How late the control plane is with this rollout: a look that is due, a wake-up to send."""


CALM: Final = Pressure()
"""Nothing is seen."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """The rate of one rollout now, and the evidence since the last judgement."""

    per_minute: float
    since: datetime
    """Of this rate."""
    judged_at: datetime
    """When the span that is under way began."""
    reason: ReasonCode | None = None
    """Of the last change; None while the rate is as it was at the start."""
    message: str = ""
    ended: int = 0
    failed: int = 0
    seconds: tuple[float, ...] = ()
    """Newest times from release to Ready at this rate, at most SAMPLES."""
    baseline: float | None = None
    """The lowest 90th percentile of these times that the rollout has had."""

    @property
    def span(self) -> timedelta:
        """How long to wait for what a change brings: a change shows after one apply time."""
        shown = timedelta(seconds=min(self.baseline or 0.0, LONGEST_SPAN.total_seconds()))
        return max(SHORTEST_SPAN, shown)

    @property
    def slow_seconds(self) -> float | None:
        """An apply time beyond this is slow; None while nothing is known of the usual."""
        if self.baseline is None:
            return None
        return max(self.baseline * SLOW_FACTOR, self.baseline + SLOW_SLACK_SECONDS)


def begin(pace: Pace, now: datetime) -> Pacing:
    """A rollout starts at its declared rate."""
    return Pacing(pace.per_minute, since=now, judged_at=now)
