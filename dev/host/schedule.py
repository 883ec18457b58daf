"""NCRONTAB schedules and what a timer is told about lateness. Pure; the clock is passed in.

Six fields from seconds to day of week; five mean seconds 0. Unlike cron, a day must match both the
day of month and the day of week
(learn.microsoft.com/azure/azure-functions/functions-bindings-timer). Times are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from croniter import croniter

from dev.host.config import HostError

FIELDS = 6
MONITORED_FROM = timedelta(minutes=1)


@dataclass(frozen=True)
class Schedule:
    """A parsed schedule."""

    expression: str

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Check an NCRONTAB expression; raises HostError."""
        fields = text.split()
        expression = " ".join(["0", *fields] if len(fields) == FIELDS - 1 else fields)
        right_count = len(expression.split()) == FIELDS
        if not right_count or not croniter.is_valid(expression, second_at_beginning=True):
            raise HostError(f"{text!r} is not an NCRONTAB schedule of six fields")
        return cls(expression)

    def next_after(self, moment: datetime) -> datetime:
        """The first time strictly after `moment`."""
        times = croniter(
            self.expression, moment.astimezone(UTC), second_at_beginning=True, day_or=False
        )
        following: datetime = times.get_next(datetime)
        return following

    def is_monitored(self, moment: datetime) -> bool:
        """Whether lateness is tracked over restarts: not for intervals under a minute."""
        first = self.next_after(moment)
        return self.next_after(first) - first >= MONITORED_FROM


@dataclass(frozen=True)
class ScheduleStatus:
    """What is kept of a timer over restarts."""

    last: datetime
    """When it last ran."""
    next: datetime
    """When it should run next."""

    def is_past_due(self, now: datetime) -> bool:
        """Whether a run was missed while nothing was there to start it."""
        return self.next < now

    def as_json(self) -> dict[str, str]:
        """The shape that a TimerRequest carries."""
        return {
            "Last": self.last.isoformat(),
            "Next": self.next.isoformat(),
            "LastUpdated": self.last.isoformat(),
        }

    @classmethod
    def from_json(cls, content: dict[str, str]) -> ScheduleStatus:
        """Read what `as_json` wrote."""
        return cls(
            last=datetime.fromisoformat(content["Last"]),
            next=datetime.fromisoformat(content["Next"]),
        )
