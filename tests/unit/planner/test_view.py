"""What the planner is told, and the little that it says of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.contract.states import TargetState
from shared.planner.view import Reach, StageView

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_cluster_wants_peace_until_the_time_it_gave() -> None:
    resting = Reach(not_now_until=NOW)
    assert resting.wants_peace(NOW - SECOND)
    assert not resting.wants_peace(NOW)
    assert not Reach().wants_peace(NOW)


@pytest.mark.parametrize(
    ("reach", "can"),
    [
        (Reach(), True),
        (Reach(silent_since=NOW - timedelta(days=1)), True),
        (Reach(connected=False), False),
        (Reach(gone=True), False),
        (Reach(not_now_until=NOW + SECOND), False),
        (Reach(not_now_until=NOW), True),
    ],
    ids=["connected", "connected again", "silent", "gone", "resting", "no longer resting"],
)
def test_a_release_is_acted_on_by_a_cluster_that_is_there_and_not_resting(
    reach: Reach, can: bool
) -> None:
    assert reach.can_act(NOW) is can


FULL = StageView(1, "all", 50, to_apply=10, in_flight=10, succeeded=10, failed=10, skipped=10)
COUNTERS = {
    TargetState.TO_APPLY: "to_apply",
    TargetState.RELEASED: "in_flight",
    TargetState.APPLYING: "in_flight",
    TargetState.VERIFYING: "in_flight",
    TargetState.SUCCEEDED: "succeeded",
    TargetState.FAILED: "failed",
    TargetState.TIMED_OUT: "failed",
    TargetState.SKIPPED: "skipped",
}


@pytest.mark.parametrize("was", TargetState)
@pytest.mark.parametrize("becomes", TargetState)
def test_a_move_takes_a_target_out_of_one_counter_and_puts_it_into_another(
    was: TargetState, becomes: TargetState
) -> None:
    expected = dict.fromkeys(COUNTERS.values(), 10)
    expected[COUNTERS[was]] -= 1
    expected[COUNTERS[becomes]] += 1
    assert FULL.moved(was, becomes) == replace(FULL, **expected)


def test_targets_that_wait_or_are_in_flight_may_still_change() -> None:
    assert replace(FULL, to_apply=3, in_flight=4).unfinished == 7
