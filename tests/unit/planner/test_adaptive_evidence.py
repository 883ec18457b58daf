"""What an adaptive rollout learns from targets that end: how many, how fast, and what is usual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from shared.contract.states import TargetState
from shared.planner.adaptive import judge_pace, learn, percentile90
from shared.planner.pacing import Pacing, Pressure, begin
from shared.planner.view import TargetView
from tests.unit.planner.evidence import NOW, PACE, after, ended, move

SPAN = timedelta(seconds=15)


def test_a_rollout_begins_at_its_declared_rate_and_knows_nothing() -> None:
    assert begin(PACE, NOW) == Pacing(
        60.0, NOW, NOW, reason=None, message="", ended=0, failed=0, seconds=(), baseline=None
    )


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


def test_a_rollout_that_gets_better_has_its_better_times_for_a_baseline() -> None:
    pacing = ended(ended(begin(PACE, NOW), *[60.0] * 10), *[10.0] * 30)
    assert pacing.baseline == 10.0
    assert pacing.slow_seconds == 20.0
    assert percentile90([*range(1, 11)]) == 9


def test_the_baseline_is_the_best_there_was_and_stays_through_a_change_of_rate() -> None:
    slower = after((3.0,) * 10, (5.0,) * 20)
    assert slower.baseline == 3.0
    pacing, change = judge_pace(slower, PACE, Pressure(lag_seconds=60.0), NOW)
    assert change is not None
    assert (pacing.baseline, pacing.seconds, pacing.ended, pacing.failed) == (3.0, (), 0, 0)
    assert ended(pacing, *[9.0] * 9).baseline == 3.0


def test_a_fast_rollout_is_not_slow_for_two_seconds_more() -> None:
    instant = after((0.5,) * 10)
    assert instant.slow_seconds == 2.5
    assert after((3.0,) * 10).slow_seconds == 6.0


@pytest.mark.parametrize(("count", "place"), [(1, 1), (9, 9), (10, 9), (11, 10), (20, 18)])
def test_nine_in_ten_values_do_not_exceed_the_percentile(count: int, place: int) -> None:
    assert percentile90([float(n) for n in range(count, 0, -1)]) == float(place)
