"""What happens to the rollout as a whole: failure budgets, stage gates, approvals, the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind, RolloutState
from shared.contract.strategy import Approval, OnFailure
from shared.contract.wording import plural
from shared.planner.decisions import (
    AwaitApproval,
    Decision,
    End,
    OpenStage,
    PassStage,
    Pause,
    RollBack,
)
from shared.planner.limits import budget, is_over_budget, limits
from shared.planner.view import RolloutView, StageView


def stop(view: RolloutView, stages: Sequence[StageView]) -> Decision | None:
    """What stops the rollout now: a quarantined revision, or more failures than a budget bears."""
    if view.quarantined and view.kind is not RolloutKind.ROLLBACK:
        return End(
            state=RolloutState.FAILED,
            reason=ReasonCode.SPEC_QUARANTINED,
            message="the revision was quarantined while it was being rolled out",
        )
    broken = _first_over_budget(view, stages)
    if broken is None:
        return None
    match _on_failure(view):
        case OnFailure.CONTINUE:
            return None
        case OnFailure.PAUSE if view.state is RolloutState.PAUSED:
            return None
        case OnFailure.PAUSE:
            return Pause(reason=ReasonCode.FAILURE_BUDGET_EXCEEDED, message=broken)
        case OnFailure.ROLLBACK:
            return RollBack(
                quarantine=view.kind is RolloutKind.PUBLISH,
                reason=ReasonCode.FAILURE_BUDGET_EXCEEDED,
                message=broken,
            )


def _on_failure(view: RolloutView) -> OnFailure:
    """There is no way back from a removal that fails: a person has to look."""
    declared = view.strategy.on_failure
    if view.kind is RolloutKind.DELETE and declared is OnFailure.ROLLBACK:
        return OnFailure.PAUSE
    return declared


def _first_over_budget(view: RolloutView, stages: Sequence[StageView]) -> str | None:
    for stage in stages:
        if is_over_budget(view.kind, view.strategy, stages, stage.index):
            borne = budget(view.kind, view.strategy, stages, stage.index)
            whole = limits(view.kind, view.strategy, stages, stage.index).failures
            after = f" with {stage.released} released" if borne < whole else ""
            return (
                f"{stage.failed - stage.forgiven} of {plural(stage.total, 'target')} of stage "
                f"{stage.name} failed; its budget is {borne}{after}"
            )
    return None


def advance(view: RolloutView, stages: Sequence[StageView]) -> Iterator[Decision]:
    """Pass and open stages in order, as far as the gates allow now; end after the last one."""
    for stage in stages:
        if stage.opened_at is None and stage.total:
            if _needs_approval(view, stage):
                yield AwaitApproval(
                    stage=stage.index,
                    reason=ReasonCode.AWAITING_APPROVAL,
                    message=f"stage {stage.name} opens once it is approved",
                )
                return
            yield OpenStage(
                stage=stage.index,
                reason=ReasonCode.STAGE_OPENED,
                message=f"stage {stage.name} with {plural(stage.total, 'target')} is open",
            )
        if stage.passed_at is None:
            if stage.unfinished:
                return
            yield PassStage(
                stage=stage.index, reason=ReasonCode.STAGE_PASSED, message=_passed(stage)
            )
    if not any(stage.unfinished for stage in stages):
        yield _end(view, stages)


def _needs_approval(view: RolloutView, stage: StageView) -> bool:
    required = view.strategy.stages[stage.index].approval is Approval.REQUIRED
    return required and stage.approved_at is None and view.kind is not RolloutKind.ROLLBACK


def _passed(stage: StageView) -> str:
    if not stage.total:
        return f"stage {stage.name} has no targets"
    return (
        f"stage {stage.name} passed: {stage.succeeded} succeeded, {stage.failed} failed, "
        f"{stage.skipped} skipped"
    )


def _end(view: RolloutView, stages: Sequence[StageView]) -> End:
    failed = sum(stage.failed for stage in stages)
    if view.kind is RolloutKind.ROLLBACK and failed:
        return End(
            state=RolloutState.FAILED,
            reason=ReasonCode.ROLLBACK_FAILED,
            message=f"{plural(failed, 'target')} did not get back to the last known good revision",
        )
    for stage in stages:
        if is_over_budget(view.kind, view.strategy, stages, stage.index):
            return End(
                state=RolloutState.FAILED,
                reason=ReasonCode.ROLLOUT_FAILED,
                message=f"{plural(failed, 'target')} failed, more than the budget",
            )
    return End(
        state=RolloutState.SUCCEEDED,
        reason=ReasonCode.ROLLOUT_SUCCEEDED,
        message=_done(stages, failed),
    )


def _done(stages: Sequence[StageView], failed: int) -> str:
    """What became of the targets; says so when there was nothing to succeed or fail."""
    done = sum(stage.succeeded for stage in stages)
    skipped = sum(stage.skipped for stage in stages)
    if skipped and not done and not failed:
        return f"no cluster was reached, {skipped} skipped: taken up as they return"
    return (
        f"{plural(done, 'target')} succeeded, {failed} failed within the budget, {skipped} skipped"
    )
