"""Freezes and windows, held against zoneinfo's clocks minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.freeze import Day, FreezeKind, FreezeSpec, Weekly
from shared.contract.reasons import ReasonCode
from shared.planner.windows import Standing, Window, Windows, judge_windows, occurrence, standing

MINUTE = timedelta(minutes=1)
BERLIN = "Europe/Berlin"
# Changes of the clocks in both directions, also by half an hour, at midnight, and a day left out.
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Santiago", date(2026, 4, 4)),
    ("America/Santiago", date(2026, 9, 6)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("UTC", date(2026, 3, 29)),
]
TIMES = st.integers(0, 95).map(lambda n: f"{n // 4:02}:{n % 4 * 15:02}")


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def weekly(days: str, start: str, end: str) -> Weekly:
    return Weekly(days=tuple(Day(day) for day in days.split()), start=start, end=end)


def nights(kind: FreezeKind = FreezeKind.ALLOW, zone: str = BERLIN) -> FreezeSpec:
    return FreezeSpec(
        kind=kind, time_zone=zone, weekly=(weekly("mon tue wed thu fri", "22:00", "04:00"),)
    )


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(CHANGES), st.integers(-1, 1), TIMES, TIMES)
def test_an_occurrence_spans_what_the_clocks_of_the_zone_show(
    change: tuple[str, date], days: int, start: str, end: str
) -> None:
    zone, day = ZoneInfo(change[0]), change[1] + timedelta(days=days)
    found = occurrence(weekly("mon", start, end), day, zone)
    first, last = time.fromisoformat(start), time.fromisoformat(end)
    begins = datetime.combine(day, first)
    ends = datetime.combine(day if last > first else day + timedelta(days=1), last)
    around = datetime.combine(day, time(), tzinfo=UTC) - timedelta(days=2)
    shown = [
        moment
        for moment in (around + n * MINUTE for n in range(6 * 24 * 60))
        if begins <= moment.astimezone(zone).replace(tzinfo=None) < ends
    ]
    if shown:
        assert found == (shown[0], shown[-1] + MINUTE)
    else:
        assert found[0] >= found[1]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(CHANGES),
    st.lists(st.tuples(st.sets(st.sampled_from(Day), min_size=1), TIMES, TIMES), max_size=3),
    st.sampled_from(FreezeKind),
    st.integers(0, 14 * 24 * 4),
)
def test_the_next_change_is_the_first_moment_at_which_the_verdict_is_another(
    change: tuple[str, date],
    times: list[tuple[set[Day], str, str]],
    kind: FreezeKind,
    quarters: int,
) -> None:
    begin = datetime.combine(change[1] - timedelta(days=7), time(), tzinfo=UTC)
    spec = FreezeSpec(
        kind=kind,
        time_zone=change[0],
        weekly=tuple(Weekly(days=tuple(days), start=s, end=e) for days, s, e in times),
        starts_at=begin,
        ends_at=begin + timedelta(days=12),
    )
    windows = Windows((Window("w", spec),))
    now = begin - timedelta(hours=6) + quarters * timedelta(minutes=15)
    verdict = judge_windows(windows, now)
    moment = now + MINUTE
    while moment < now + timedelta(days=3):
        if (standing(spec, moment).in_force is (kind is FreezeKind.ALLOW)) != verdict.is_open:
            assert verdict.changes_at == moment
            return
        moment += timedelta(minutes=15) - (moment - begin) % timedelta(minutes=15)
    assert verdict.changes_at is None or verdict.changes_at >= moment


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


def test_deny_beats_allow_and_the_sentence_names_it() -> None:
    freeze = FreezeSpec(starts_at=at("2026-06-01T00:00"), ends_at=at("2026-06-03T21:00"))
    windows = Windows((Window("nights", nights()), Window("audit", freeze)))
    verdict = judge_windows(windows, at("2026-06-01T23:00", BERLIN))
    assert (verdict.reason, verdict.message) == (
        ReasonCode.FREEZE_ACTIVE,
        "freeze audit is in force",
    )
    assert verdict.changes_at == at("2026-06-03T21:00"), "23:00 in Berlin: the window is open then"


def test_one_open_window_of_several_is_enough() -> None:
    noon = FreezeSpec(kind=FreezeKind.ALLOW, weekly=(weekly("mon", "12:00", "13:00"),))
    windows = Windows((Window("nights", nights()), Window("noon", noon)))
    assert judge_windows(windows, at("2026-06-01T12:30")).is_open
    closed = judge_windows(windows, at("2026-06-01T13:00"))
    assert closed.reason is ReasonCode.WINDOW_CLOSED
    assert closed.changes_at == at("2026-06-01T22:00", BERLIN)


def test_a_freeze_without_times_is_in_force_until_it_is_deleted() -> None:
    verdict = judge_windows(Windows((Window("stop", FreezeSpec()),)), at("2026-06-01T12:00"))
    assert (verdict.is_open, verdict.changes_at) == (False, None)


def test_a_window_that_does_not_exist_is_closed() -> None:
    verdict = judge_windows(Windows(missing=("nights",)), at("2026-06-01T12:00"))
    assert verdict.reason is ReasonCode.WINDOW_CLOSED
    assert "nights" in verdict.message


def test_an_override_opens_until_it_expires() -> None:
    now = at("2026-06-01T12:00")
    windows = Windows((Window("stop", FreezeSpec()),), override_until=now + MINUTE)
    assert judge_windows(windows, now).is_open
    assert judge_windows(windows, now).changes_at == now + MINUTE
    assert not judge_windows(windows, now + MINUTE).is_open
