"""What the rollout waits for, in one sentence, since when, and what ends the wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutState
from shared.contract.wording import plural
from shared.planner.decisions import AwaitApproval, Decision, End, Pause, RollBack
from shared.planner.lacks import what_lacks, why_lacks
from shared.planner.limits import limits
from shared.planner.pacing import Pacing
from shared.planner.view import RolloutView, StageView, TargetView

_NAMED: Final = 3
"""Clusters that a sentence gives by name."""
_RESUMED: Final = "an operator resumes or cancels it"


def waiting_for(
    view: RolloutView, stages: Sequence[StageView], decisions: Sequence[Decision], now: datetime
) -> WaitingFor | None:
    """The one sentence; None only for a rollout that is over. `since` stays while it waits on."""
    found = _find(view, stages, decisions)
    if found is None:
        return None
    before = view.waiting_for
    same = before is not None and before.reason is found.reason
    since = before.since if same and before is not None and before.since else now
    return found.model_copy(update={"since": since})


def paced(
    view: RolloutView, missing: int, pacing: Pacing | None, now: datetime, until: datetime
) -> WaitingFor:
    """What a rollout waits for that could release `missing` targets, had there been tokens."""
    before = view.waiting_for
    same = before is not None and before.reason is ReasonCode.PACED
    rate = ""
    if pacing is not None:
        why = f" ({pacing.reason.value}: {pacing.message})" if pacing.reason else ""
        rate = f" of {pacing.per_minute:g} a minute{why}"
    return WaitingFor(
        reason=ReasonCode.PACED,
        message=f"{plural(missing, 'target')} could be released, but for the pace{rate}",
        since=before.since if same and before is not None and before.since else now,
        until=until,
        ends_when="the pace has tokens again",
    )


def _find(
    view: RolloutView, stages: Sequence[StageView], decisions: Sequence[Decision]
) -> WaitingFor | None:
    for decision in decisions:
        match decision:
            case End() | RollBack():
                return None
            case AwaitApproval():
                return WaitingFor(
                    reason=decision.reason,
                    message=decision.message,
                    ends_when="an operator approves it; an approval is waited for without an end",
                )
            case Pause():
                return WaitingFor(
                    reason=decision.reason, message=decision.message, ends_when=_RESUMED
                )
    if view.state is RolloutState.PAUSED:
        return paused(view)
    if view.behind is not None:
        return WaitingFor(
            reason=ReasonCode.BEHIND_ROLLBACK,
            message=f"rollback {view.behind} of the same extension must end first",
            ends_when="that rollback ends",
        )
    return next(_in_stages(view, stages), None) or WaitingFor(
        reason=ReasonCode.PROGRESSING,
        message="targets are being released",
        ends_when="they are out",
    )


def paused(view: RolloutView) -> WaitingFor:
    """Why a paused rollout is: what was noted when it was paused, as long as it is."""
    kept = (ReasonCode.FAILURE_BUDGET_EXCEEDED, ReasonCode.ROLLOUT_PAUSED)
    if view.waiting_for is not None and view.waiting_for.reason in kept:
        return view.waiting_for
    return WaitingFor(
        reason=ReasonCode.ROLLOUT_PAUSED,
        message="paused: an operator has to resume or cancel it",
        ends_when=_RESUMED,
    )


def _in_stages(view: RolloutView, stages: Sequence[StageView]) -> Iterator[WaitingFor]:
    held = view.freeze.as_waiting()
    for stage in stages:
        if stage.opened_at is None or not stage.unfinished:
            continue
        if held is not None and stage.to_apply:
            yield _held(held, stage)
        elif stage.in_flight:
            yield _in_flight(view, stages, stage)
        elif not any(target.stage == stage.index for target in view.candidates):
            lacking = [target for target in view.lacking if target.stage == stage.index]
            yield _lacking(stage, lacking) if lacking else _unreachable(view, stage)


def _held(held: WaitingFor, stage: StageView) -> WaitingFor:
    what = f"{held.message}, with {plural(stage.to_apply, 'target')} of stage {stage.name} waiting"
    if stage.in_flight:
        what += f" and {stage.in_flight} in flight, still watched"
    return held.model_copy(update={"message": what})


def _in_flight(view: RolloutView, stages: Sequence[StageView], stage: StageView) -> WaitingFor:
    places = limits(view.kind, view.strategy, stages, stage.index).concurrent
    full = bool(stage.to_apply) and stage.in_flight >= places
    what = f"{plural(stage.in_flight, 'target')} of stage {stage.name} in flight"
    if full:
        what = all_taken(places, stage)
    if stage.first_release is None and stage.first_ready is not None:
        return WaitingFor(
            reason=ReasonCode.SOAKING,
            message=f"{what}: ready, and watched for the soak time",
            until=stage.first_ready + view.strategy.stages[stage.index].soak,
            ends_when="each stayed ready through it",
        )
    return WaitingFor(
        reason=ReasonCode.CONCURRENCY_REACHED if full else ReasonCode.PROGRESSING,
        message=f"{what}: waits for their reports, until the deadline at the latest",
        until=stage.first_release + view.strategy.progress_deadline
        if stage.first_release
        else None,
        ends_when="each reports that it is ready or has failed",
    )


def all_taken(places: int, stage: StageView) -> str:
    """How a sentence says that a stage is full."""
    whole = "the only place" if places == 1 else f"all {places} places"
    return f"{whole} of stage {stage.name} in use"


def _lacking(stage: StageView, lacking: Sequence[TargetView]) -> WaitingFor:
    """Names the first of the clusters; how many there are is not known where there are many."""
    lacks = [(target.cluster, target.lacks) for target in lacking if target.lacks is not None]
    named = "; ".join(f"{cluster}: {what_lacks(lack)}" for cluster, lack in lacks[:_NAMED])
    more = ", and others" if len(lacks) > _NAMED else ""
    return WaitingFor(
        reason=why_lacks(lacks[0][1]),
        message=f"targets of stage {stage.name} wait for other extensions on their clusters "
        f"({named}{more})",
        ends_when="that has changed there; they keep their places, and no deadline runs",
    )


def _unreachable(view: RolloutView, stage: StageView) -> WaitingFor:
    silent = [t.reach.silent_since for t in view.unreachable if t.stage == stage.index]
    first = min((at for at in silent if at is not None), default=None)
    return WaitingFor(
        reason=ReasonCode.CLUSTER_OFFLINE,
        message=f"{plural(stage.to_apply, 'cluster')} of stage {stage.name} cannot be reached: "
        "released on return, or skipped",
        until=first + view.strategy.offline.after if first else None,
        ends_when="each returns, or is skipped",
    )


def look_again_at(
    view: RolloutView, stages: Sequence[StageView], idle_look: datetime
) -> datetime | None:
    """When time alone may change something; `idle_look` where a cluster's return may."""
    moments: list[datetime] = []
    for stage in stages:
        if stage.in_flight and stage.first_release is not None:
            moments.append(stage.first_release + view.strategy.progress_deadline)
        if stage.in_flight and stage.first_ready is not None:
            moments.append(stage.first_ready + view.strategy.stages[stage.index].soak)
        if stage.opened_at is not None and (stage.unfinished or stage.skipped):
            moments.append(idle_look)
            if view.freeze.changes_at is not None and stage.to_apply:
                moments.append(view.freeze.changes_at)
    return min(moments, default=None)
