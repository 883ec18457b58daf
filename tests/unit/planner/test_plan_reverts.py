"""Which failed clusters go back by themselves."""

from __future__ import annotations

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.planner.decisions import Revert
from shared.planner.view import RolloutView
from tests.unit.planner.looks import T0, of_kind, one, ready, strategy, target, timed_out, two, view


def reverts(seen: RolloutView) -> list[str]:
    found = of_kind(Revert, seen)
    for revert in found:
        cluster = f"c{revert.cluster_id.int}"
        assert revert.reason is ReasonCode.TARGET_REVERTED
        assert revert.message == f"{cluster} goes back to its own last known good revision"
    return [f"c{revert.cluster_id.int}" for revert in found]


FAILED = (target(8, TargetState.FAILED), target(9, TargetState.FAILED, goal_absent=True))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (RolloutKind.PUBLISH, ["c8", "c2"]),
        (RolloutKind.PLACEMENT, ["c8", "c2"]),
        (RolloutKind.DELETE, []),
        (RolloutKind.ROLLBACK, []),
    ],
)
def test_a_failure_within_the_budget_sends_that_cluster_alone_back(
    kind: RolloutKind, expected: list[str]
) -> None:
    seen = view(
        one(in_flight=3, succeeded=1),
        two(to_apply=6, failed=1, opened_at=T0),
        kind=kind,
        in_flight=(ready(1), timed_out(2)),
        unreverted=FAILED,
    )
    assert reverts(seen) == expected


def test_a_removal_that_failed_has_nothing_to_go_back_to() -> None:
    seen = view(
        one(in_flight=2, succeeded=2),
        kind=RolloutKind.PLACEMENT,
        in_flight=(timed_out(1, goal_absent=True),),
    )
    assert reverts(seen) == []


def test_over_the_budget_nobody_goes_back_alone_until_a_person_decides() -> None:
    seen = view(
        one(failed=2, to_apply=2),
        two(failed=1, opened_at=T0),
        state=RolloutState.PAUSED,
        strategy=strategy("pause"),
        unreverted=(target(1, TargetState.FAILED), target(2, TargetState.FAILED, stage=1)),
    )
    assert reverts(seen) == ["c2"]


def test_a_rollout_that_goes_on_whatever_fails_sends_every_failed_cluster_back() -> None:
    seen = view(
        one(failed=2, to_apply=2),
        strategy=strategy("continue"),
        unreverted=(target(1, TargetState.FAILED),),
    )
    assert reverts(seen) == ["c1"]
