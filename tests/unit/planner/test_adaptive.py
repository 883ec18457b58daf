"""Adaptive pacing: between floor and ceiling, down on each bad sign, up again by evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import TargetState
from shared.contract.strategy import Pace
from shared.planner.adaptive import judge_pace, learn, percentile90
from shared.planner.decisions import SetPace
from shared.planner.pacing import CALM, Pacing, Pressure, begin
from shared.planner.view import TargetView
from shared.services import adaptive_pace
from tests.unit.planner.evidence import NOW, PACE, after, ended, move

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
        ([(1.0, None)], CALM, ReasonCode.SLOWED_BY_FAILURES, "1 of 2 targets failed"),
        (
            [],
            Pressure(20, 3),
            ReasonCode.SLOWED_BY_SOURCE,
            "3 of 20 targets in flight cannot get their artifact",
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


def test_a_rollout_that_gets_better_has_its_better_times_for_a_baseline() -> None:
    pacing = ended(ended(begin(PACE, NOW), *[60.0] * 10), *[10.0] * 30)
    assert pacing.baseline == 10.0
    assert pacing.slow_seconds == 20.0
    assert percentile90([*range(1, 11)]) == 9


def test_a_row_outside_of_the_bounds_is_taken_for_the_nearest_bound() -> None:
    kept = adaptive_pace.kept(begin(PACE, NOW)) | {"perMinute": 9_000}
    found = adaptive_pace.restored(PACE, kept, NOW)
    assert found is not None
    assert found.per_minute == 60.0
    assert adaptive_pace.restored(Pace(), kept, NOW) is None


def learnt(
    was: TargetState = TargetState.APPLYING,
    becomes: TargetState = TargetState.SUCCEEDED,
    ready_since: datetime | None = NOW,
    released_at: datetime | None = NOW - timedelta(seconds=8),
) -> Pacing:
    """From one target's move."""
    target = TargetView(UUID(int=1), "c", 0, 0, was, "d", released_at=released_at)
    return learn(
        replace(begin(PACE, NOW), ended=3, failed=2),
        [replace(move(target.cluster_id, ready_since), was=was, becomes=becomes)],
        {target.cluster_id: target},
    )


@pytest.mark.parametrize("becomes", [TargetState.VERIFYING, TargetState.SUCCEEDED])
def test_a_target_counts_once_it_is_ready_with_the_time_from_its_release(
    becomes: TargetState,
) -> None:
    pacing = learnt(becomes=becomes)
    assert (pacing.ended, pacing.failed, pacing.seconds) == (4, 2, (8.0,))
    at_once = learnt(TargetState.RELEASED, becomes)
    assert (at_once.ended, at_once.failed, at_once.seconds) == (4, 2, (8.0,))


@pytest.mark.parametrize("becomes", [TargetState.FAILED, TargetState.TIMED_OUT])
def test_a_failed_target_ended_without_a_time(becomes: TargetState) -> None:
    pacing = learnt(TargetState.VERIFYING, becomes)
    assert (pacing.ended, pacing.failed, pacing.seconds) == (4, 3, ())


@pytest.mark.parametrize(
    "pacing",
    [
        lambda: learnt(TargetState.VERIFYING, TargetState.SUCCEEDED),
        lambda: learnt(TargetState.VERIFYING, TargetState.VERIFYING),
        lambda: learnt(becomes=TargetState.SKIPPED),
        lambda: learnt(TargetState.VERIFYING, TargetState.APPLYING),
        lambda: learnt(ready_since=None),
        lambda: learnt(released_at=None),
    ],
    ids=[
        "counted when it became ready",
        "ready anew",
        "skipped",
        "ready no more",
        "nobody knows since when",
        "nobody knows from when",
    ],
)
def test_what_says_nothing_of_the_pace_is_left_out(pacing: Callable[[], Pacing]) -> None:
    found = pacing()
    assert (found.ended, found.failed, found.seconds) == (3, 2, ())


def test_an_agents_clock_that_is_behind_makes_no_time_negative() -> None:
    assert learnt(ready_since=NOW - timedelta(minutes=1)).seconds == (0.0,)
    assert learnt(ready_since=NOW - timedelta(seconds=7.5)).seconds == (0.5,)


def test_the_newest_thirty_times_are_kept_and_ten_make_a_baseline() -> None:
    nine = after((3.0,) * 9)
    assert (nine.baseline, nine.slow_seconds) == (None, None)
    ten = ended(nine, 5.0)
    assert ten.baseline == 3.0
    assert ended(ten, *[4.0] * 25).seconds == (3.0,) * 4 + (5.0,) + (4.0,) * 25


def test_the_baseline_is_the_best_there_was_and_stays_through_a_change_of_rate() -> None:
    slower = after((3.0,) * 10, (5.0,) * 20)
    assert slower.baseline == 3.0
    pacing, change = judged(slower, Pressure(lag_seconds=60.0))
    assert change is not None
    assert (pacing.baseline, pacing.seconds, pacing.ended, pacing.failed) == (3.0, (), 0, 0)
    assert ended(pacing, *[9.0] * 9).baseline == 3.0


def test_few_times_at_a_new_rate_are_not_held_against_the_baseline() -> None:
    pacing = replace(after(TEN), seconds=())
    assert judged(pacing, Pressure(9, 0, (500.0,) * 9), at=NOW)[1] is None
    assert judged(pacing, Pressure(10, 0, (500.0,) * 10), at=NOW)[1] is not None


def test_a_fast_rollout_is_not_slow_for_two_seconds_more() -> None:
    instant = after((0.5,) * 10)
    assert instant.slow_seconds == 2.5
    assert after((3.0,) * 10).slow_seconds == 6.0


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


@pytest.mark.parametrize(("count", "place"), [(1, 1), (9, 9), (10, 9), (11, 10), (20, 18)])
def test_nine_in_ten_values_do_not_exceed_the_percentile(count: int, place: int) -> None:
    assert percentile90([float(n) for n in range(count, 0, -1)]) == float(place)
