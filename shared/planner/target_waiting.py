"""What one target waits for, in one sentence, since when, and what ends the wait.

Asked when somebody reads, never stored: so it holds at that moment, and costs the pacer nothing.
The first thing that is in the way is named, in the order in which the planner comes upon it.
"""

from __future__ import annotations

from datetime import datetime

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind, RolloutState, SkipReason, TargetState
from shared.contract.strategy import Approval
from shared.contract.wording import plural
from shared.planner.lacks import what_lacks, why_lacks
from shared.planner.limits import limits
from shared.planner.targets import counts, deadline, is_held, soak_of
from shared.planner.view import RolloutView, StageView, TargetView
from shared.planner.waiting import all_taken, paused


def target_waiting_for(view: RolloutView, target: TargetView, now: datetime) -> WaitingFor | None:
    """What the target waits for; None where nothing will happen to it any more in this rollout.

    `view` needs no batches of targets for this.
    """
    if view.state.is_over:
        return None
    if view.state is RolloutState.ROLLING_BACK:
        return _taken_back(view, target)
    match target.state:
        case TargetState.TO_APPLY:
            return _to_apply(view, target, now)
        case TargetState.RELEASED | TargetState.APPLYING | TargetState.VERIFYING:
            return _in_flight(view, target, now)
        case TargetState.SKIPPED:
            return _skipped(view, target, now)
        case TargetState.SUCCEEDED | TargetState.FAILED | TargetState.TIMED_OUT:
            return None


def _taken_back(view: RolloutView, target: TargetView) -> WaitingFor | None:
    if target.generation is None:
        return None
    return WaitingFor(
        reason=ReasonCode.ROLLING_BACK,
        message="the rollout is being taken back",
        since=view.waiting_for.since if view.waiting_for else None,
        ends_when="the rollback has brought the cluster back",
    )


def _to_apply(view: RolloutView, target: TargetView, now: datetime) -> WaitingFor:
    stage = view.stages[target.stage]
    whole = _whole_rollout(view) or _stage_not_open(view, stage)
    if whole is not None:
        return whole
    if view.kind is not RolloutKind.ROLLBACK and not target.reach.can_act(now):
        return _cannot_act(view, target, now)
    since = stage.opened_at or view.created_at
    if target.lacks is not None:
        return WaitingFor(
            reason=why_lacks(target.lacks),
            message=what_lacks(target.lacks),
            since=max(since, target.lacks.since or since),
            ends_when="that has changed on this cluster; it keeps its place until then",
        )
    return _its_turn(view, stage, since)


def _whole_rollout(view: RolloutView) -> WaitingFor | None:
    """What holds every target of the rollout."""
    if view.state is RolloutState.PAUSED:
        return paused(view)
    if view.behind is None:
        return None
    return WaitingFor(
        reason=ReasonCode.BEHIND_ROLLBACK,
        message=f"rollback {view.behind} of the same extension goes first",
        since=_noted(view, ReasonCode.BEHIND_ROLLBACK),
        ends_when="that rollback ends",
    )


def _stage_not_open(view: RolloutView, stage: StageView) -> WaitingFor | None:
    if stage.opened_at is not None:
        return None
    before = next((s for s in view.stages[: stage.index] if s.unfinished), None)
    if before is not None:
        left = plural(before.unfinished, "target")
        return WaitingFor(
            reason=ReasonCode.STAGE_ORDER,
            message=f"stage {before.name} goes before stage {stage.name}",
            since=view.created_at,
            ends_when=f"what is left of stage {before.name} is done: {left}",
        )
    needed = view.strategy.stages[stage.index].approval is Approval.REQUIRED
    if needed and stage.approved_at is None and view.kind is not RolloutKind.ROLLBACK:
        return WaitingFor(
            reason=ReasonCode.AWAITING_APPROVAL,
            message=f"stage {stage.name} is not approved yet",
            since=_noted(view, ReasonCode.AWAITING_APPROVAL),
            ends_when="an operator approves it; an approval is waited for without an end",
        )
    return WaitingFor(
        reason=ReasonCode.STAGE_ORDER,
        message=f"stage {stage.name} is about to open",
        since=view.created_at,
        ends_when="the rollout is looked at next",
    )


def _its_turn(view: RolloutView, stage: StageView, since: datetime) -> WaitingFor:
    """Nothing about the cluster itself is in the way."""
    held = view.freeze.as_waiting()
    if held is not None:
        return held.model_copy(update={"since": _noted(view, held.reason)})
    places = limits(view.kind, view.strategy, view.stages, stage.index).concurrent
    if stage.in_flight >= places:
        return WaitingFor(
            reason=ReasonCode.CONCURRENCY_REACHED,
            message=all_taken(places, stage),
            since=since,
            ends_when="a target that is in flight succeeds, fails or is skipped",
        )
    paced = view.waiting_for
    until = paced.until if paced is not None and paced.reason is ReasonCode.PACED else None
    return WaitingFor(
        reason=ReasonCode.PACED,
        message="it is among the next to be released, at the rollout's pace",
        since=since,
        until=until,
        ends_when="the pace has a token for it",
    )


def _cannot_act(view: RolloutView, target: TargetView, now: datetime) -> WaitingFor:
    """The cluster would not act on a release, or does not act on the one it got."""
    reach = target.reach
    since = reach.silent_since or target.released_at or view.created_at
    if reach.gone:
        return WaitingFor(
            reason=ReasonCode.CERTIFICATE_REVOKED,
            message="the cluster is no longer registered",
            since=since,
            ends_when="the rollout is looked at next: the target is skipped then",
        )
    if reach.wants_peace(now):
        return WaitingFor(
            reason=ReasonCode.NOT_NOW,
            message="the cluster asked to be left alone",
            since=target.released_at or view.created_at,
            until=reach.not_now_until,
            ends_when="that time is over",
        )
    return WaitingFor(
        reason=ReasonCode.CLUSTER_OFFLINE,
        message="the cluster is silent",
        since=since,
        until=since + view.strategy.offline.after,
        ends_when="it returns, or has been silent for too long",
    )


def _skipped(view: RolloutView, target: TargetView, now: datetime) -> WaitingFor | None:
    if target.skip_reason is SkipReason.DEREGISTERED or view.kind is RolloutKind.ROLLBACK:
        return None
    found = _cannot_act(view, target, now)
    if target.reach.can_act(now):
        return WaitingFor(
            reason=ReasonCode.CLUSTER_CONNECTED,
            message="the cluster is back",
            since=found.since,
            ends_when="the rollout is looked at next: the target is taken up then",
        )
    if found.reason is not ReasonCode.CLUSTER_OFFLINE:
        return found
    ends = {"until": None, "ends_when": "the cluster returns: it is taken up again then"}
    return found.model_copy(update=ends)


def _in_flight(view: RolloutView, target: TargetView, now: datetime) -> WaitingFor:
    released = target.released_at or view.created_at
    if target.state is TargetState.VERIFYING and target.reach.connected:
        ready = target.ready_since or released
        return WaitingFor(
            reason=ReasonCode.SOAKING,
            message="it is ready, and watched for the soak time",
            since=ready,
            until=ready + soak_of(view, target),
            ends_when="it stayed ready until then",
        )
    if not target.reach.can_act(now):
        return _cannot_act(view, target, now)
    report = target.report if counts(view, target) else None
    if is_held(view, report) and report is not None:
        return WaitingFor(
            reason=ReasonCode.DEPENDENCY_NOT_READY,
            message=report.message or "its agent waits for a dependency",
            since=released,
            ends_when="the dependency is ready on this cluster; no deadline runs until then",
        )
    message = "it was released, and its agent has not begun yet"
    if report is not None:
        message = f"its agent is at work: {report.message or report.reason}"
    return WaitingFor(
        reason=report.reason if report else ReasonCode.PROGRESSING,
        message=message,
        since=released,
        until=deadline(view, target),
        ends_when="its agent reports that it is ready or has failed; it times out then",
    )


def _noted(view: RolloutView, reason: ReasonCode) -> datetime:
    """Since when the rollout as a whole waits for the same."""
    noted = view.waiting_for
    if noted is not None and noted.reason is reason and noted.since is not None:
        return noted.since
    return view.created_at
