"""Adaptive pacing: between floor and ceiling, down on each bad sign, up again by evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.strategy import Pace
from shared.planner.adaptive import judge_pace
from shared.planner.decisions import SetPace
from shared.planner.pacing import CALM, Pacing, Pressure, begin
from shared.services import adaptive_pace
from tests.unit.planner.evidence import NOW, PACE, after, ended

SPAN = timedelta(seconds=15)


def judged(
    pacing: Pacing, pressure: Pressure = CALM, *, at: datetime = NOW + SPAN
) -> tuple[Pacing, SetPace | None]:
    return judge_pace(pacing, PACE, pressure, at)


def lowered(reason: ReasonCode = ReasonCode.SLOWED_BY_LAG) -> Pacing:
    """At the floor."""
    return Pacing(PACE.floor, since=NOW, judged_at=NOW, reason=reason)


TEN = (4.0,) * 10
"""Enough to know what is usual."""


@pytest.mark.parametrize(
    ("spans", "pressure", "reason", "why"),
    [
        ([(1.0,) * 18 + (None,)], CALM, ReasonCode.SLOWED_BY_FAILURES, "1 of 19 targets failed"),
        (
            [],
            Pressure(29, 3),
            ReasonCode.SLOWED_BY_SOURCE,
            "3 of 29 targets in flight cannot get their artifact",
        ),
        ([], Pressure(2, 2), ReasonCode.SLOWED_BY_SOURCE, "2 of 2 targets in flight cannot get"),
        (
            [],
            Pressure(lag_seconds=15.6),
            ReasonCode.SLOWED_BY_LAG,
            "the control plane is 16 s late",
        ),
        (
            [TEN, (30.0,) * 4],
            CALM,
            ReasonCode.SLOWED_BY_APPLY_TIME,
            "nine in ten take 30 s to become ready, and took 4 s",
        ),
        (
            [TEN],
            Pressure(10, 0, (9.0,) * 4),
            ReasonCode.SLOWED_BY_APPLY_TIME,
            "nine in ten take 9 s to become ready, and took 4 s",
        ),
    ],
    ids=["failures", "no artifact", "two of two", "lag", "slow", "overdue"],
)
def test_each_bad_sign_halves_the_rate_at_once_and_says_why(
    spans: list[tuple[float | None, ...]], pressure: Pressure, reason: ReasonCode, why: str
) -> None:
    pacing, change = judged(after(*spans), pressure, at=NOW)
    assert change is not None
    assert (change.reason, change.was, change.per_minute) == (reason, 60.0, 30.0)
    assert change.message.startswith(f"from 60 to 30 a minute: {why}")
    assert (pacing.reason, pacing.since, pacing.judged_at) == (reason, NOW, NOW)
    assert (pacing.message, pacing.per_minute) == (change.message, 30.0)


@pytest.mark.parametrize(
    ("spans", "pressure"),
    [
        ([((1.0,) * 19 + (None,))], CALM),
        ([], Pressure(20, 2)),
        ([], Pressure(1, 1)),
        ([], Pressure(lag_seconds=15.0)),
        ([(*TEN, 500.0)], CALM),
        ([TEN, (7.0,) * 20], CALM),
        ([TEN, (8.0,) * 20], CALM),
        ([], Pressure(50, 0, (500.0,) * 50)),
    ],
    ids=[
        "one in twenty failed",
        "one in ten without its artifact",
        "a single one without its artifact",
        "a lag of three ticks",
        "a straggler",
        "not twice as long",
        "twice as long, and no more",
        "no baseline yet",
    ],
)
def test_what_is_no_bad_sign_changes_nothing(
    spans: list[tuple[float | None, ...]], pressure: Pressure
) -> None:
    pacing, change = judged(after(*spans), pressure, at=NOW)
    assert change is None
    assert pacing.per_minute == 60.0


def test_a_second_lowering_waits_for_the_first_to_show() -> None:
    bad = Pressure(lag_seconds=60.0)
    pacing, _ = judged(begin(PACE, NOW), bad, at=NOW)
    soon, change = judged(pacing, bad, at=NOW + SPAN - timedelta(seconds=1))
    assert change is None
    later, change = judged(soon, bad, at=NOW + SPAN)
    assert change is not None
    assert later.per_minute == 15.0


def test_what_takes_minutes_to_show_is_waited_for_as_long() -> None:
    slow = ended(begin(PACE, NOW), *[90.0] * 10)
    assert slow.span == timedelta(seconds=90)
    assert ended(begin(PACE, NOW), *[900.0] * 10).span == timedelta(seconds=120)


def test_a_lasting_bad_sign_ends_at_the_floor_and_says_so_once() -> None:
    pacing, now, changes = begin(PACE, NOW), NOW, []
    for _ in range(20):
        now += SPAN
        pacing, change = judged(pacing, Pressure(lag_seconds=60.0), at=now)
        changes += [change.per_minute] if change else []
    assert changes == [30.0, 15.0, 7.5, 5.0]


def test_success_raises_the_rate_step_by_step_up_to_what_was_declared() -> None:
    pacing, now, rates = lowered(), NOW, []
    for _ in range(12):
        now += SPAN
        pacing, change = judged(ended(pacing, 1.0, now=now), at=now)
        rates += [change.per_minute] if change else []
    assert rates == [11.0, 17.0, 23.0, 29.0, 35.0, 41.0, 47.0, 53.0, 59.0, 60.0]
    assert pacing.reason is ReasonCode.PACE_RAISED


def test_silence_raises_nothing_and_neither_does_haste() -> None:
    pacing, change = judged(lowered(), at=NOW + timedelta(hours=9))
    assert (pacing.per_minute, change) == (5.0, None)
    _, change = judged(ended(lowered(), 1.0), at=NOW + SPAN - timedelta(seconds=1))
    assert change is None


def test_after_a_raise_a_bad_sign_is_heard_at_once() -> None:
    pacing, _ = judged(ended(lowered(), 1.0))
    _, change = judged(pacing, Pressure(lag_seconds=60.0))
    assert change is not None
    assert change.per_minute == 5.5


def test_a_row_outside_of_the_bounds_is_taken_for_the_nearest_bound() -> None:
    kept = adaptive_pace.kept(begin(PACE, NOW)) | {"perMinute": 9_000}
    found = adaptive_pace.restored(PACE, kept, NOW)
    assert found is not None
    assert found.per_minute == 60.0
    assert adaptive_pace.restored(Pace(), kept, NOW) is None


def test_few_times_at_a_new_rate_are_not_held_against_the_baseline() -> None:
    pacing = replace(after(TEN), seconds=())
    assert judged(pacing, Pressure(9, 0, (500.0,) * 9), at=NOW)[1] is None
    assert judged(pacing, Pressure(10, 0, (500.0,) * 10), at=NOW)[1] is not None


def test_a_raise_says_how_many_became_ready_and_begins_a_span() -> None:
    pacing, change = judged(ended(lowered(), *[1.0] * 24, None))
    assert change == SetPace(
        was=5.0,
        per_minute=11.0,
        reason=ReasonCode.PACE_RAISED,
        message="from 5 to 11 a minute: 24 of 25 targets became ready in time",
    )
    assert (pacing.judged_at, pacing.since) == (NOW + SPAN, NOW + SPAN)
    assert (pacing.ended, pacing.failed, pacing.message) == (0, 0, change.message)


def test_at_its_declared_rate_a_good_span_changes_nothing_and_begins_the_next() -> None:
    before = after((1.0,))
    pacing, change = judged(before)
    assert change is None
    assert pacing == replace(before, judged_at=NOW + SPAN, ended=0)


def test_failures_that_were_answered_raise_nothing() -> None:
    only_failures = replace(lowered(ReasonCode.SLOWED_BY_FAILURES), ended=1, failed=1)
    _, change = judged(only_failures, at=NOW + timedelta(hours=1))
    assert change is None


def test_the_signs_are_looked_for_in_order() -> None:
    all_bad = Pressure(10, 5, (500.0,) * 10, 60.0)
    everything = ended(after(TEN), None)
    reasons = []
    for pacing, pressure in (
        (everything, all_bad),
        (after(TEN), all_bad),
        (after(TEN), replace(all_bad, without_artifact=0)),
        (after(TEN), Pressure(lag_seconds=60.0)),
    ):
        _, change = judged(pacing, pressure, at=NOW)
        reasons.append(change.reason if change else None)
    assert reasons == [
        ReasonCode.SLOWED_BY_FAILURES,
        ReasonCode.SLOWED_BY_SOURCE,
        ReasonCode.SLOWED_BY_APPLY_TIME,
        ReasonCode.SLOWED_BY_LAG,
    ]
