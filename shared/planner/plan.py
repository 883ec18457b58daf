"""The planner's entry: one look at a rollout gives the decisions to carry out now.

In this order: what became of targets in flight, whether that stops the rollout, which gates are
passed, what to release. The order is the safety argument: a failure that arrives together with a
success is seen before anything more is released.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import OnFailure
from shared.contract.wording import plural
from shared.planner.adaptive import judge_pace, learn
from shared.planner.decisions import Decision, End, MoveTarget, Plan, Regoal, Release, Revert, Start
from shared.planner.gates import advance, stop
from shared.planner.limits import is_over_budget, limits
from shared.planner.pacing import Pacing
from shared.planner.targets import judge, skip_unreachable, take_up
from shared.planner.view import RolloutView, StageView
from shared.planner.waiting import look_again_at, waiting_for

IDLE_LOOK = timedelta(seconds=30)
"""How often to look for clusters that came back where nothing else is due earlier."""


def plan(view: RolloutView, now: datetime) -> Plan:
    """What to do now. Calling it again with what it led to gives the next step, until nothing."""
    if view.state.is_over or view.state is RolloutState.ROLLING_BACK:
        return Plan((), None, None)
    moves = tuple(_moves(view, now))
    stages = after(view.stages, moves)
    decisions: list[Decision] = list(moves)
    stopped = stop(view, stages)
    if stopped is not None:
        decisions.append(stopped)
    else:
        decisions += _reverts(view, moves, stages)
        if view.state is not RolloutState.PAUSED and view.behind is None:
            decisions += _go_on(view, stages)
    over = any(isinstance(decision, End) for decision in decisions)
    pacing = None
    if stopped is None and not over:
        pacing, changed = _pace(view, moves, now)
        decisions += changed
    return Plan(
        tuple(decisions),
        waiting_for(view, stages, decisions, now),
        None if over else look_again_at(view, stages, now + IDLE_LOOK),
        pacing,
    )


def _pace(
    view: RolloutView, moves: Sequence[MoveTarget], now: datetime
) -> tuple[Pacing | None, list[Decision]]:
    """The rate of an adaptive rollout after this look; one that was paused goes on learning."""
    if view.pacing is None:
        return None, []
    learnt = learn(view.pacing, moves, {target.cluster_id: target for target in view.in_flight})
    pacing, changed = judge_pace(learnt, view.strategy.pace, view.pressure, now)
    return pacing, [] if changed is None else [changed]


def after(stages: Sequence[StageView], moves: Sequence[MoveTarget]) -> tuple[StageView, ...]:
    """The stages' counters once the moves are made."""
    moved = list(stages)
    for move in moves:
        moved[move.stage] = moved[move.stage].moved(move.was, move.becomes)
    return tuple(moved)


def _moves(view: RolloutView, now: datetime) -> Iterator[MoveTarget]:
    for target in view.in_flight:
        if (move := judge(view, target, now)) is not None:
            yield move
    if view.state is RolloutState.PAUSED:
        return
    for target in view.unreachable:
        if (move := skip_unreachable(view, target, now)) is not None:
            yield move
    if view.kind is not RolloutKind.ROLLBACK:
        for target in view.returned:
            if target.reach.can_act(now):
                yield take_up(target)


def _reverts(
    view: RolloutView, moves: Sequence[MoveTarget], stages: Sequence[StageView]
) -> Iterator[Decision]:
    """Failed targets go back by themselves while their stage is within its budget."""
    if view.kind not in (RolloutKind.PUBLISH, RolloutKind.PLACEMENT):
        return
    failed = [(t.cluster_id, t.cluster, t.stage) for t in view.unreverted if not t.goal_absent]
    absent = {t.cluster_id for t in view.in_flight if t.goal_absent}
    failed += [
        (m.cluster_id, m.cluster, m.stage)
        for m in moves
        if m.becomes.is_failure and m.cluster_id not in absent
    ]
    over = {s.index for s in stages if is_over_budget(view.kind, view.strategy, stages, s.index)}
    if view.strategy.on_failure is OnFailure.CONTINUE:
        over = set()
    for cluster_id, cluster, stage in failed:
        if stage not in over:
            yield Revert(
                cluster_id=cluster_id,
                reason=ReasonCode.TARGET_REVERTED,
                message=f"{cluster} goes back to its own last known good revision",
            )


def _go_on(view: RolloutView, stages: Sequence[StageView]) -> Iterator[Decision]:
    if view.state is RolloutState.PENDING:
        yield Start(reason=ReasonCode.PROGRESSING, message="the rollout starts")
    gates = list(advance(view, stages))
    yield from gates
    if view.freeze.is_open and not any(isinstance(decision, End) for decision in gates):
        yield from _releases(view, stages)


def _releases(view: RolloutView, stages: Sequence[StageView]) -> Iterator[Decision]:
    for stage in stages:
        if stage.opened_at is None:
            continue
        places = limits(view.kind, view.strategy, stages, stage.index).concurrent
        free = max(0, places - stage.in_flight)
        waiting = [
            t
            for t in view.candidates
            if t.stage == stage.index and t.state is TargetState.TO_APPLY and t.lacks is None
        ]
        for target in waiting[:free]:
            if target.goal_quarantined:
                yield Regoal(
                    cluster_id=target.cluster_id,
                    reason=ReasonCode.SPEC_QUARANTINED,
                    message=f"the revision {target.cluster} was to go back to is quarantined",
                )
        ready = [t.cluster_id for t in waiting[:free] if not t.goal_quarantined]
        if ready:
            yield Release(
                stage=stage.index,
                clusters=tuple(ready),
                reason=ReasonCode.PROGRESSING,
                message=f"{plural(len(ready), 'target')} of stage {stage.name} may be released",
            )
