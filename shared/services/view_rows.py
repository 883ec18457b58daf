"""Rows of stages and targets as the planner sees them."""

from __future__ import annotations

from typing import Final

from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase, SkipReason, TargetState
from shared.planner.view import Found, GivenUp, Lack, Reach, Report, StageView, TargetView
from shared.store.transaction import Row

_REASONS: Final = {reason.value: reason for reason in ReasonCode}


def stage_view(row: Row) -> StageView:
    """A stage's row as the planner sees it."""
    return StageView(
        index=row["stage"],
        name=row["name"],
        total=row["total"],
        to_apply=row["to_apply"],
        in_flight=row["in_flight"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        skipped=row["skipped"],
        forgiven=row["forgiven"],
        opened_at=row["opened_at"],
        passed_at=row["passed_at"],
        approved_at=row["approved_at"],
        first_release=row["first_release"],
        first_ready=row["first_ready"],
    )


def target_view(row: Row) -> TargetView:
    """A target's row as the planner sees it."""
    return TargetView(
        cluster_id=row["cluster_id"],
        cluster=row["cluster"],
        stage=row["stage"],
        position=row["position"],
        state=TargetState(row["state"]),
        goal_digest=row["goal_digest"],
        goal_absent=row["goal_absent"],
        goal_quarantined=row.get("goal_quarantined", False),
        generation=row["generation"],
        released_at=row["released_at"],
        ready_since=row["ready_since"],
        skip_reason=SkipReason(row["skip_reason"]) if row["skip_reason"] else None,
        reach=Reach(row["connected"], row["silent_since"], row["not_now_until"], row["gone"]),
        lacks=lack(row),
        report=_report(row),
        given_up=_given_up(row),
    )


def lack(row: Row) -> Lack | None:
    """What keeps the target from being released, where the row says it."""
    if row.get("lacks") is None:
        return None
    return Lack(row["lacks"], Found(row["lacks_found"]), row["lacks_since"])


def _report(row: Row) -> Report | None:
    if row.get("report_phase") is None:
        return None
    return Report(
        rollout_id=row["observed_rollout"],
        digest=row["observed_digest"],
        generation=row["observed_generation"],
        phase=ExtensionPhase(row["report_phase"]),
        reason=_REASONS[row["report_reason"]],
        message=row["report_message"],
        ready_since=row["report_ready_since"],
        unheld_at=row["report_unheld_at"],
    )


def _given_up(row: Row) -> GivenUp | None:
    if row.get("failed_generation") is None:
        return None
    return GivenUp(
        row["failed_generation"], _REASONS[row["failed_reason"]], row["failed_message"] or ""
    )
