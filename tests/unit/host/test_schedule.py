"""NCRONTAB means what the Functions documentation says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from dev.host.config import HostError
from dev.host.schedule import Schedule, ScheduleStatus

NOW = datetime(2026, 1, 1, 12, 0, 3, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("*/5 * * * * *", "2026-01-01T12:00:05"),
        ("0 */5 * * * *", "2026-01-01T12:05:00"),
        ("*/5 * * * *", "2026-01-01T12:05:00"),
        ("0 0 3 * * *", "2026-01-02T03:00:00"),
        ("0 0 3 * * 1", "2026-01-05T03:00:00"),
        # cron would take the first of the month or any Friday; NCRONTAB wants both
        ("0 0 0 1 * 5", "2026-05-01T00:00:00"),
    ],
)
def test_the_next_time_is_found(expression: str, following: str) -> None:
    expected = datetime.fromisoformat(following).replace(tzinfo=UTC)
    assert Schedule.parse(expression).next_after(NOW) == expected


def test_the_next_time_is_strictly_later_and_in_utc() -> None:
    schedule = Schedule.parse("*/5 * * * * *")
    due = datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)
    elsewhere = due.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert schedule.next_after(elsewhere) == due + timedelta(seconds=5)


@pytest.mark.parametrize("expression", ["", "00:00:05", "* * *", "x * * * * *", "* * * * * * *"])
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(HostError, match="NCRONTAB"):
        Schedule.parse(expression)


def test_only_intervals_of_a_minute_or_more_are_monitored() -> None:
    assert Schedule.parse("0 * * * * *").is_monitored(NOW)
    assert not Schedule.parse("*/30 * * * * *").is_monitored(NOW)


def test_a_status_survives_being_written_and_knows_when_it_is_past_due() -> None:
    status = ScheduleStatus(last=NOW, next=NOW + timedelta(minutes=1))
    assert ScheduleStatus.from_json(status.as_json()) == status
    assert not status.is_past_due(NOW + timedelta(minutes=1))
    assert status.is_past_due(NOW + timedelta(minutes=1, seconds=1))
