"""What stops a rollout, what opens and passes its stages, and how it ends: each with its words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind, RolloutState
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import AwaitApproval, End, OpenStage, PassStage, Pause, RollBack
from shared.planner.gates import advance, stop
from shared.planner.view import RolloutView, StageView

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = "2 of 4 targets of stage one failed; its budget is 1"


def view(
    kind: RolloutKind = RolloutKind.PUBLISH,
    state: RolloutState = RolloutState.RUNNING,
    on_failure: str = "rollback",
    approval: str = "none",
    **changes: Any,
) -> RolloutView:
    stages = [
        {"name": "one", "maxTargets": 4, "maxConcurrent": 4},
        {"name": "two", "maxConcurrent": 4, "approval": approval},
    ]
    strategy = {"stages": stages, "maxFailures": 1, "onFailure": on_failure}
    found = RolloutStrategy.model_validate(strategy)
    return RolloutView(UUID(int=1), kind, state, found, NOW, (), **changes)


def one(**counts: Any) -> StageView:
    return StageView(0, "one", 4, **counts)


def two(**counts: Any) -> StageView:
    return StageView(1, "two", 2, **counts)


BAD = [one(opened_at=NOW, succeeded=2, failed=3, forgiven=1), two(to_apply=2)]


def test_a_rollout_within_its_budgets_goes_on() -> None:
    assert stop(view(), [one(failed=1), two()]) is None


def test_a_quarantined_revision_ends_its_rollout_but_no_rollback() -> None:
    assert stop(view(quarantined=True), [one(), two()]) == End(
        state=RolloutState.FAILED,
        reason=ReasonCode.SPEC_QUARANTINED,
        message="the revision was quarantined while it was being rolled out",
    )
    assert stop(view(RolloutKind.ROLLBACK, quarantined=True), [one(), two()]) is None


@pytest.mark.parametrize(
    ("kind", "quarantine"), [(RolloutKind.PUBLISH, True), (RolloutKind.PLACEMENT, False)]
)
def test_over_the_budget_all_go_back(kind: RolloutKind, quarantine: bool) -> None:
    assert stop(view(kind), BAD) == RollBack(
        quarantine=quarantine, reason=ReasonCode.FAILURE_BUDGET_EXCEEDED, message=BROKEN
    )


def test_a_percentage_that_is_not_earned_yet_says_by_how_many() -> None:
    strategy = RolloutStrategy.model_validate({"stages": [{"name": "all"}], "maxFailures": "2%"})
    seen = RolloutView(UUID(int=1), RolloutKind.PUBLISH, RolloutState.RUNNING, strategy, NOW, ())
    stopped = stop(seen, [StageView(0, "all", 1_000, to_apply=960, in_flight=33, failed=7)])
    assert isinstance(stopped, RollBack)
    said = "7 of 1000 targets of stage all failed; its budget is 6 with 40 released"
    assert stopped.message == said


def test_a_rollback_has_no_budget_to_stop_it() -> None:
    assert stop(view(RolloutKind.ROLLBACK), BAD) is None


def test_over_the_budget_a_rollout_that_should_go_on_does() -> None:
    assert stop(view(on_failure="continue"), BAD) is None


@pytest.mark.parametrize(
    "seen", [view(on_failure="pause"), view(RolloutKind.DELETE)], ids=["as declared", "a removal"]
)
def test_over_the_budget_it_pauses(seen: RolloutView) -> None:
    assert stop(seen, BAD) == Pause(reason=ReasonCode.FAILURE_BUDGET_EXCEEDED, message=BROKEN)


def test_a_paused_rollout_is_not_paused_again() -> None:
    assert stop(view(state=RolloutState.PAUSED, on_failure="pause"), BAD) is None


def test_a_removal_goes_on_over_its_budget_where_that_is_declared() -> None:
    assert stop(view(RolloutKind.DELETE, on_failure="continue"), BAD) is None


OPENED = OpenStage(
    stage=0, reason=ReasonCode.STAGE_OPENED, message="stage one with 4 targets is open"
)


def test_the_first_stage_opens_and_holds_the_second() -> None:
    assert list(advance(view(), [one(to_apply=4), two(to_apply=2)])) == [OPENED]


def test_a_stage_that_is_open_is_not_opened_again() -> None:
    assert list(advance(view(), [one(opened_at=NOW, in_flight=1), two(to_apply=2)])) == []


def test_a_stage_that_is_done_passes_and_opens_the_next() -> None:
    done = one(opened_at=NOW, succeeded=2, failed=1, skipped=1)
    assert list(advance(view(), [done, two(to_apply=2)])) == [
        PassStage(
            stage=0,
            reason=ReasonCode.STAGE_PASSED,
            message="stage one passed: 2 succeeded, 1 failed, 1 skipped",
        ),
        OpenStage(
            stage=1, reason=ReasonCode.STAGE_OPENED, message="stage two with 2 targets is open"
        ),
    ]


def test_a_stage_without_targets_passes_unopened() -> None:
    empty = StageView(0, "one", 0)
    assert list(advance(view(), [empty, two(opened_at=NOW, to_apply=2)])) == [
        PassStage(stage=0, reason=ReasonCode.STAGE_PASSED, message="stage one has no targets")
    ]


def test_a_target_that_came_back_to_a_passed_stage_holds_nothing_but_the_end() -> None:
    passed = one(opened_at=NOW, passed_at=NOW, succeeded=3, to_apply=1)
    assert list(advance(view(), [passed, two(opened_at=NOW, passed_at=NOW, succeeded=2)])) == []


WAITS = AwaitApproval(
    stage=1, reason=ReasonCode.AWAITING_APPROVAL, message="stage two opens once it is approved"
)
PASSED = one(opened_at=NOW, passed_at=NOW, succeeded=4)


def test_a_stage_that_needs_an_approval_waits_for_it() -> None:
    asks = view(approval="required")
    assert list(advance(asks, [PASSED, two(to_apply=2)])) == [WAITS]
    approved = two(to_apply=2, approved_at=NOW)
    assert [type(d) for d in advance(asks, [PASSED, approved])] == [OpenStage]
    back = view(RolloutKind.ROLLBACK, approval="required")
    assert [type(d) for d in advance(back, [PASSED, two(to_apply=2)])] == [OpenStage]


def ends(seen: RolloutView, *stages: StageView) -> End:
    decisions = list(advance(seen, stages))
    assert len(decisions) == 1
    assert isinstance(decisions[0], End)
    return decisions[0]


DONE = {"opened_at": NOW, "passed_at": NOW}


def test_a_rollout_that_is_done_has_succeeded() -> None:
    assert ends(view(), PASSED, two(**DONE, succeeded=0, failed=1, skipped=1)) == End(
        state=RolloutState.SUCCEEDED,
        reason=ReasonCode.ROLLOUT_SUCCEEDED,
        message="4 targets succeeded, 1 failed within the budget, 1 skipped",
    )


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"skipped": 4}, "no cluster was reached, 5 skipped: taken up as they return"),
        (
            {"skipped": 3, "succeeded": 1},
            "1 target succeeded, 0 failed within the budget, 4 skipped",
        ),
        ({"skipped": 3, "failed": 1}, "0 targets succeeded, 1 failed within the budget, 4 skipped"),
    ],
    ids=["all skipped", "one succeeded", "one failed"],
)
def test_a_rollout_that_reached_no_cluster_says_so(counts: dict[str, int], message: str) -> None:
    assert ends(view(), one(**DONE, **counts), two(**DONE, skipped=1)).message == message


def test_a_rollout_without_targets_was_not_kept_from_any() -> None:
    none = [StageView(0, "one", 0, **DONE), StageView(1, "two", 0, **DONE)]
    assert ends(view(), *none).message == (
        "0 targets succeeded, 0 failed within the budget, 0 skipped"
    )


def test_a_rollout_that_went_on_over_its_budget_has_failed() -> None:
    found = ends(view(on_failure="continue"), PASSED, two(**DONE, failed=2))
    assert found == End(
        state=RolloutState.FAILED,
        reason=ReasonCode.ROLLOUT_FAILED,
        message="2 targets failed, more than the budget",
    )


def test_a_rollback_with_a_failure_has_failed() -> None:
    assert ends(view(RolloutKind.ROLLBACK), PASSED, two(**DONE, succeeded=1, failed=1)) == End(
        state=RolloutState.FAILED,
        reason=ReasonCode.ROLLBACK_FAILED,
        message="1 target did not get back to the last known good revision",
    )
    fine = ends(view(RolloutKind.ROLLBACK), PASSED, two(**DONE, succeeded=2))
    assert fine.state is RolloutState.SUCCEEDED
