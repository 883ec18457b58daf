"""What becomes of one target: judged by reports of its very release, by deadlines and by reach."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase, RolloutKind, SkipReason, TargetState
from shared.planner.decisions import MoveTarget
from shared.planner.view import Report, RolloutView, TargetView


def judge(view: RolloutView, target: TargetView, now: datetime) -> MoveTarget | None:
    """The move of a target in flight, or None while there is nothing to say."""
    if target.reach.gone:
        return _skip(target, SkipReason.DEREGISTERED)
    if target.given_up is not None and target.given_up.generation == target.generation:
        return _move(
            target, TargetState.FAILED, target.given_up.reason, target.given_up.message or "failed"
        )
    report = target.report if counts(view, target) else None
    if _is_left_alone(view, target, report, now):
        return _skip(target, SkipReason.NOT_NOW)
    if report is not None and is_done(target, report):
        return _soak(view, target, report, now)
    if target.state is TargetState.VERIFYING:
        return _move(
            target,
            TargetState.APPLYING,
            report.reason if report else ReasonCode.PROGRESSING,
            "no longer ready: the soak starts again once it is",
            ready_since=target.ready_since,
        )
    return _await_ready(view, target, report, now)


def counts(view: RolloutView, target: TargetView) -> bool:
    """True when the report speaks of this rollout, this content and this very release."""
    report = target.report
    return (
        report is not None
        and report.rollout_id == view.rollout_id
        and report.digest == target.goal_digest
        and report.generation == target.generation
    )


def is_done(target: TargetView, report: Report) -> bool:
    """True when the cluster says that it is where the target wants it."""
    goal = ExtensionPhase.REMOVED if target.goal_absent else ExtensionPhase.READY
    return report.phase is goal


def _is_left_alone(
    view: RolloutView, target: TargetView, report: Report | None, now: datetime
) -> bool:
    """True when its cluster wants peace, or is suspended, before the target has come through.

    Nothing is brought on there and nobody watches what became ready, so time says nothing about
    the revision: no deadline and no soak may judge it. A rollback waits until its deadline.
    """
    if not target.reach.wants_peace(now):
        return False
    if report is not None and is_done(target, report) and not soak_of(view, target):
        return False
    return view.kind is not RolloutKind.ROLLBACK or (
        target.state is not TargetState.VERIFYING and now >= deadline(view, target)
    )


def _soak(
    view: RolloutView, target: TargetView, report: Report, now: datetime
) -> MoveTarget | None:
    soak = soak_of(view, target)
    since = report.ready_since or now
    if now >= since + soak:
        silent = target.reach.silent_since
        if soak and not target.reach.connected and (silent is None or silent < since + soak):
            return _fell_silent(view, target, silent or since, now)
        return _move(target, TargetState.SUCCEEDED, report.reason, "ready", ready_since=since)
    if target.state is TargetState.VERIFYING and target.ready_since == since:
        return None
    until = f"{since + soak:%Y-%m-%d %H:%M:%S}Z"
    return _move(
        target,
        TargetState.VERIFYING,
        ReasonCode.SOAKING,
        f"ready, watched until {until}",
        ready_since=since,
    )


def _fell_silent(
    view: RolloutView, target: TargetView, silent: datetime, now: datetime
) -> MoveTarget | None:
    if now < silent + view.strategy.offline.after:
        return None
    return _move(
        target, TargetState.TIMED_OUT, ReasonCode.CLUSTER_OFFLINE, "fell silent during its soak"
    )


def _await_ready(
    view: RolloutView, target: TargetView, report: Report | None, now: datetime
) -> MoveTarget | None:
    if report is None and target.state is TargetState.RELEASED and _is_unheard(view, target, now):
        return _skip(target, SkipReason.OFFLINE)
    if now >= deadline(view, target) and not is_held(view, report):
        return _move(
            target,
            TargetState.TIMED_OUT,
            ReasonCode.PROGRESS_DEADLINE_EXCEEDED,
            f"not ready by its deadline: {report.message or report.reason}"
            if report
            else "nothing was reported by its deadline",
        )
    if report is not None and target.state is TargetState.RELEASED:
        return _move(target, TargetState.APPLYING, report.reason, report.message or "applying")
    return None


def _is_unheard(view: RolloutView, target: TargetView, now: datetime) -> bool:
    """True when a release that the agent never spoke of is taken for not having reached it."""
    late = now >= deadline(view, target)
    return not target.reach.connected and (late or is_offline(view, target, now))


def skip_unreachable(view: RolloutView, target: TargetView, now: datetime) -> MoveTarget | None:
    """Skip a target that waits for release on a cluster that will not act on it soon.

    A rollback is released all the same: the cluster must find the way back when it returns.
    """
    if target.reach.gone:
        return _skip(target, SkipReason.DEREGISTERED)
    if view.kind is RolloutKind.ROLLBACK:
        return None
    if target.reach.wants_peace(now):
        return _skip(target, SkipReason.NOT_NOW)
    return _skip(target, SkipReason.OFFLINE) if is_offline(view, target, now) else None


def take_up(target: TargetView) -> MoveTarget:
    """A skipped target whose cluster is back waits for release again."""
    return _move(
        target, TargetState.TO_APPLY, ReasonCode.CLUSTER_CONNECTED, "the cluster is back: taken up"
    )


def is_offline(view: RolloutView, target: TargetView, now: datetime) -> bool:
    """True once a cluster has been silent for `offline.after`; one that never spoke is at once."""
    silent = target.reach.silent_since
    return not target.reach.connected and (
        silent is None or now >= silent + view.strategy.offline.after
    )


def soak_of(view: RolloutView, target: TargetView) -> timedelta:
    """How long the target must stay ready; a removal has nothing to watch."""
    return timedelta() if target.goal_absent else view.strategy.stages[target.stage].soak


def is_held(view: RolloutView, report: Report | None) -> bool:
    """True while its agent waits for a dependency: no deadline runs. Every rollback has an end."""
    return (
        report is not None
        and report.reason is ReasonCode.DEPENDENCY_NOT_READY
        and view.kind is not RolloutKind.ROLLBACK
    )


def deadline(view: RolloutView, target: TargetView) -> datetime:
    """By when the target must be ready; one that lost its health gets its soak on top, once.

    It begins with the release, or when the agent stopped waiting for a dependency after that.
    """
    begins = target.released_at or view.created_at
    if target.report is not None and target.report.unheld_at and counts(view, target):
        begins = max(begins, target.report.unheld_at)
    again = soak_of(view, target) if target.ready_since is not None else timedelta()
    return begins + view.strategy.progress_deadline + again


_SKIPPED = {
    SkipReason.OFFLINE: (ReasonCode.CLUSTER_OFFLINE, "silent: taken up when it returns"),
    SkipReason.NOT_NOW: (ReasonCode.NOT_NOW, "asked to be left alone: taken up after that"),
    SkipReason.DEREGISTERED: (ReasonCode.CERTIFICATE_REVOKED, "no longer registered"),
}


def _skip(target: TargetView, why: SkipReason) -> MoveTarget:
    reason, message = _SKIPPED[why]
    return _move(target, TargetState.SKIPPED, reason, message, skip_reason=why)


def _move(
    target: TargetView,
    becomes: TargetState,
    reason: ReasonCode,
    message: str,
    *,
    skip_reason: SkipReason | None = None,
    ready_since: datetime | None = None,
) -> MoveTarget:
    return MoveTarget(
        cluster_id=target.cluster_id,
        cluster=target.cluster,
        stage=target.stage,
        was=target.state,
        becomes=becomes,
        skip_reason=skip_reason,
        ready_since=ready_since,
        reason=reason,
        message=message,
    )
