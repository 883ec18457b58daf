"""What the planner is told of the world, in batches so small that it often sees only a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind, TargetState
from shared.planner.pacing import Pressure
from shared.planner.targets import judge
from shared.planner.view import GivenUp, Reach, Report, RolloutView, StageView, TargetView
from shared.planner.windows import OPEN
from tests.unit.planner.worlds.state import Rollout, State

BATCH = 2
_UNSETTLED = tuple(state for state in TargetState if state is not TargetState.SUCCEEDED)
"""What a look may be about: nothing happens any more to targets that succeeded."""


def view_of(state: State, rollout: Rollout) -> RolloutView:
    """One consistent look at a rollout."""
    back = rollout.kind is RolloutKind.ROLLBACK
    seen = [seen_of(state, rollout, t) for t in rollout.in_state(*_UNSETTLED)]
    stages = _with_oldest(rollout.stages, seen)
    opened = {s.index for s in stages if s.opened_at is not None}
    waiting = [t for t in seen if t.state is TargetState.TO_APPLY and t.stage in opened]
    able = [t for t in waiting if not t.reach.gone and (back or t.reach.can_act(state.now))]
    behind = [r.id for r in state.active() if r.kind is RolloutKind.ROLLBACK and not back]
    view = RolloutView(
        rollout.id,
        rollout.kind,
        rollout.state,
        rollout.strategy,
        rollout.created_at,
        stages,
        quarantined=not back and rollout.revision in state.quarantined,
        behind=behind[0] if behind else None,
        freeze=OPEN if back else state.freeze(),
        waiting_for=rollout.waiting_for,
        pacing=rollout.pacing,
        pressure=Pressure(lag_seconds=state.lag_seconds),
        candidates=tuple(able[: 2 * BATCH]),
        unreachable=tuple([t for t in waiting if t not in able][:BATCH]),
        returned=tuple(
            t
            for t in seen
            if t.state is TargetState.SKIPPED and t.stage in opened and t.reach.can_act(state.now)
        )[:BATCH],
        unreverted=tuple(
            t for t in seen if t.state.is_failure and t.cluster_id not in rollout.reverted
        )[:BATCH],
    )
    flying = (t for t in seen if t.state.is_in_flight)
    moving = [t for t in flying if judge(view, t, state.now)]
    return replace(view, in_flight=tuple(moving[:BATCH])) if moving else view


def seen_of(state: State, rollout: Rollout, target: TargetView) -> TargetView:
    """One target as it stands."""
    cluster = state.clusters[target.cluster_id]
    event, observed = cluster.report, cluster.observed
    goal, absent = rollout.goals[target.cluster_id]
    return TargetView(
        target.cluster_id,
        target.cluster,
        target.stage,
        target.position,
        target.state,
        target.goal_digest,
        target.goal_absent,
        not absent and goal in state.quarantined,
        generation=target.generation,
        released_at=target.released_at,
        ready_since=target.ready_since,
        skip_reason=target.skip_reason,
        reach=Reach(cluster.connected, cluster.silent_since, cluster.not_now_until, cluster.gone),
        report=Report(
            event.rollout_id,
            event.spec_digest,
            event.observed_generation,
            event.phase,
            event.reason,
            ready_since=observed.ready_since,
        )
        if event
        else None,
        given_up=GivenUp(observed.failed_generation, ReasonCode.UPGRADE_FAILED)
        if observed.failed_generation is not None
        else None,
    )


def _with_oldest(
    stages: Sequence[StageView], targets: Sequence[TargetView]
) -> tuple[StageView, ...]:
    """The stages with the oldest release and the oldest Ready of their targets in flight."""
    found = []
    for stage in stages:
        if stage.in_flight:
            flying = [t for t in targets if t.stage == stage.index and t.state.is_in_flight]
            verifying = [t for t in flying if t.state is TargetState.VERIFYING]
            released = [t.released_at for t in flying if t.released_at and t not in verifying]
            ready = [t.ready_since for t in verifying if t.ready_since]
            first, soaking = min(released, default=None), min(ready, default=None)
            found.append(replace(stage, first_release=first, first_ready=soaking))
        else:
            found.append(stage)
    return tuple(found)
