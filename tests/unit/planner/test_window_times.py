"""When a freeze or window is in force, by the clocks of its zone, and when that changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.contract.freeze import Day, FreezeKind, FreezeSpec, Weekly
from shared.planner.windows import Standing, occurrence, standing
from tests.unit.planner.clocks import BERLIN, MINUTE, at, nights, weekly


def test_weekly_times_that_leave_no_gap_end_with_the_whole() -> None:
    always = Weekly(days=tuple(Day), start="00:00", end="00:00")
    ends_at = at("2026-06-20T00:00", BERLIN)
    now = at("2026-06-06T12:00", BERLIN)
    bounded = FreezeSpec(
        kind=FreezeKind.DENY, time_zone="Europe/Berlin", weekly=(always,), ends_at=ends_at
    )
    endless = bounded.model_copy(update={"ends_at": None})
    assert standing(bounded, now) == Standing(True, ends_at)
    assert standing(endless, now) == Standing(True, None)


def test_a_window_over_midnight_belongs_to_the_day_it_begins_on() -> None:
    friday_night = at("2026-06-06T03:59", BERLIN)
    assert standing(nights(), friday_night).in_force
    assert not standing(nights(), friday_night + MINUTE).in_force
    assert not standing(nights(), at("2026-06-06T23:00", BERLIN)).in_force
    assert standing(nights(), friday_night + MINUTE).changes_at == at("2026-06-08T22:00", BERLIN)


@pytest.mark.parametrize(
    ("night", "hours"), [("2026-03-28", 5), ("2026-10-24", 7), ("2026-06-06", 6)]
)
def test_a_night_is_shorter_in_spring_and_longer_in_autumn(night: str, hours: int) -> None:
    start, end = occurrence(
        weekly("sat", "22:00", "04:00"), date.fromisoformat(night), ZoneInfo(BERLIN)
    )
    assert end - start == timedelta(hours=hours)


def test_an_hour_that_is_shown_twice_opens_a_window_once() -> None:
    spec = FreezeSpec(
        kind=FreezeKind.ALLOW, time_zone=BERLIN, weekly=(weekly("sun", "02:15", "02:45"),)
    )
    start = at("2026-10-25T00:15")
    assert standing(spec, start) == standing(spec, start + timedelta(hours=1))
    assert standing(spec, start).changes_at == at("2026-10-25T01:45")


def test_a_time_that_the_clocks_leave_out_does_not_open_anything() -> None:
    spec = FreezeSpec(
        kind=FreezeKind.ALLOW, time_zone=BERLIN, weekly=(weekly("sun", "02:15", "02:45"),)
    )
    assert not standing(spec, at("2026-03-29T01:00")).in_force
    assert standing(spec, at("2026-03-29T00:30")).changes_at == at("2026-04-05T00:15")


SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
"""Sundays on which Berlin's clocks go from 2:00 to 3:00, and from 3:00 back to 2:00."""


@pytest.mark.parametrize(
    ("day", "start", "end", "begins", "ends"),
    [
        (SPRING, "02:07", "05:00", "01:00:00", "03:00"),
        (SPRING, "00:30", "02:22", "2026-03-28T23:30", "01:00:00"),
        (SPRING, "01:59", "03:00", "00:59", "01:00"),
        (AUTUMN, "01:00", "02:00", "2026-10-24T23:00", "00:00"),
        (AUTUMN, "01:00", "02:01", "2026-10-24T23:00", "01:01"),
        (AUTUMN, "02:00", "03:00", "00:00", "02:00"),
        (AUTUMN, "03:00", "04:00", "02:00", "03:00"),
    ],
    ids=[
        "a start that is left out is the change",
        "an end that is left out is the change",
        "an end at the change",
        "an end that is shown twice, and nothing before it",
        "an end that is shown twice is the second",
        "a start that is shown twice is the first",
        "a start right after the hour that is shown twice",
    ],
)
def test_an_occurrence_is_what_the_clocks_show_to_the_second(
    day: date, start: str, end: str, begins: str, ends: str
) -> None:
    def utc(text: str) -> datetime:
        return at(text if "T" in text else f"{day}T{text}")

    found = occurrence(weekly("sun", start, end), day, ZoneInfo(BERLIN))
    assert found == (utc(begins), utc(ends))
    assert all(moment.tzinfo is UTC for moment in found)


def test_an_end_not_after_the_start_is_on_the_next_day() -> None:
    whole_day = occurrence(weekly("sun", "09:00", "09:00"), SPRING, ZoneInfo("UTC"))
    assert whole_day == (at("2026-03-29T09:00"), at("2026-03-30T09:00"))


FROM, UNTIL = at("2026-06-01T12:00"), at("2026-06-03T12:00")
DATED = FreezeSpec(starts_at=FROM, ends_at=UNTIL)


def test_dates_hold_from_the_first_to_the_last_and_never_again() -> None:
    assert standing(DATED, FROM - MINUTE) == Standing(False, FROM)
    assert standing(DATED, FROM) == Standing(True, UNTIL)
    assert standing(DATED, UNTIL - MINUTE) == Standing(True, UNTIL)
    assert standing(DATED, UNTIL) == Standing(False, None)
    assert standing(FreezeSpec(starts_at=FROM), FROM) == Standing(True, None)


def noons(**dates: datetime) -> FreezeSpec:
    """Mondays and Thursdays at noon in UTC, for an hour."""
    return FreezeSpec(weekly=(weekly("mon thu", "12:00", "13:00"),), **dates)


def test_weekly_times_begin_to_count_at_the_first_date() -> None:
    monday = at("2026-06-01T12:30")
    assert standing(noons(starts_at=monday), monday - MINUTE) == Standing(False, monday)
    assert standing(noons(starts_at=monday), monday) == Standing(True, at("2026-06-01T13:00"))
    tuesday = at("2026-06-02T00:00")
    assert standing(noons(starts_at=tuesday), monday) == Standing(False, at("2026-06-04T12:00"))


def test_weekly_times_end_with_the_last_date() -> None:
    monday = at("2026-06-01T12:20")
    cut = noons(ends_at=at("2026-06-01T12:30"))
    assert standing(cut, monday) == Standing(True, at("2026-06-01T12:30"))
    later = noons(ends_at=at("2026-06-01T14:00"))
    assert standing(later, monday) == Standing(True, at("2026-06-01T13:00"))


@pytest.mark.parametrize(
    ("ends_at", "changes_at"),
    [
        ("2026-06-04T11:59", None),
        ("2026-06-04T12:00", None),
        ("2026-06-04T12:01", "2026-06-04T12:00"),
        (None, "2026-06-04T12:00"),
    ],
)
def test_a_time_that_would_begin_at_the_last_date_or_after_never_comes(
    ends_at: str | None, changes_at: str | None
) -> None:
    spec = noons(ends_at=at(ends_at)) if ends_at else noons()
    found = standing(spec, at("2026-06-01T13:00"))
    assert found == Standing(False, at(changes_at) if changes_at else None)


def test_a_whole_weeks_time_that_ends_before_the_clocks_say_so_again_ends() -> None:
    to_sunday = FreezeSpec(
        time_zone=BERLIN,
        weekly=(
            weekly("mon tue wed thu fri sat", "00:00", "00:00"),
            weekly("sun", "00:00", "23:30"),
        ),
    )
    begin, end = at("2026-10-19T00:00", BERLIN), at("2026-10-25T23:30", BERLIN)
    assert end - begin > timedelta(days=7), "the clocks went back meanwhile"
    assert standing(to_sunday, begin) == Standing(True, end)
    assert standing(to_sunday, end) == Standing(False, at("2026-10-26T00:00", BERLIN))


def test_a_weekly_time_that_the_clocks_leave_out_is_back_a_week_later() -> None:
    spec = FreezeSpec(time_zone=BERLIN, weekly=(weekly("sun", "02:15", "02:45"),))
    monday_before = at("2026-03-23T12:00")
    assert standing(spec, monday_before) == Standing(False, at("2026-04-05T00:15"))


def test_the_day_is_the_zones_and_not_that_of_utc() -> None:
    spec = FreezeSpec(time_zone="America/New_York", weekly=(weekly("tue", "21:00", "20:30"),))
    wednesday_evening = at("2026-06-03T20:15", "America/New_York")
    assert wednesday_evening.day == 4
    assert standing(spec, wednesday_evening) == Standing(True, wednesday_evening + 15 * MINUTE)


def test_times_that_touch_or_overlap_are_one() -> None:
    spec = FreezeSpec(
        weekly=(
            weekly("mon", "08:00", "12:00"),
            weekly("mon", "12:00", "13:00"),
            weekly("mon", "09:00", "10:00"),
            weekly("mon", "12:30", "15:00"),
        )
    )
    assert standing(spec, at("2026-06-01T08:00")) == Standing(True, at("2026-06-01T15:00"))
    assert standing(spec, at("2026-06-01T15:00")) == Standing(False, at("2026-06-08T08:00"))
