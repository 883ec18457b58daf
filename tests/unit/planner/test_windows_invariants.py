"""Freezes and windows as properties, held against zoneinfo's clocks minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.freeze import Day, FreezeKind, FreezeSpec, Weekly
from shared.planner.windows import Window, Windows, judge_windows, occurrence, standing

MINUTE = timedelta(minutes=1)
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


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(CHANGES), st.integers(-1, 1), TIMES, TIMES)
def test_an_occurrence_spans_what_the_clocks_of_the_zone_show(
    change: tuple[str, date], days: int, start: str, end: str
) -> None:
    zone, day = ZoneInfo(change[0]), change[1] + timedelta(days=days)
    found = occurrence(Weekly(days=(Day.MON,), start=start, end=end), day, zone)
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
