"""The planner's decisions carried out on a simulated rollout, as the pacer's statements do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.contract.states import RolloutState, TargetState
from shared.planner.decisions import (
    AwaitApproval,
    Decision,
    End,
    MoveTarget,
    OpenStage,
    PassStage,
    Pause,
    Regoal,
    Release,
    Revert,
    RollBack,
    SetPace,
    Start,
)
from shared.planner.view import TargetView
from shared.simulation.state import Running


def carry_out(running: Running, decisions: Sequence[Decision], now: datetime) -> None:
    """Change the rollout as decided; the rollback itself is started by the caller.

    A stage that needs approval is approved when it is asked for: how long people take is not known.
    """
    for decision in decisions:
        match decision:
            case Start():
                running.state = RolloutState.RUNNING
            case MoveTarget():
                _move(running, decision, now)
            case Revert():
                running.reverted.add(decision.cluster_id)
            case OpenStage():
                _stage(running, decision.stage, opened_at=now)
            case PassStage():
                _stage(running, decision.stage, passed_at=now)
            case AwaitApproval():
                _stage(running, decision.stage, approved_at=now)
            case Release():
                _release(running, decision, now)
            case Pause():
                running.state = RolloutState.PAUSED
            case RollBack():
                running.state = RolloutState.ROLLING_BACK
            case End():
                running.state = decision.state
            case Regoal() | SetPace():
                continue  # nothing is quarantined meanwhile; the rate is the plan's own


def _stage(running: Running, index: int, **times: datetime) -> None:
    running.stages[index] = replace(running.stages[index], **times)  # type: ignore[arg-type] # times only


def _move(running: Running, move: MoveTarget, now: datetime) -> None:
    running.put(moved(running.targets[move.cluster_id], move), now)


def _release(running: Running, release: Release, now: datetime) -> None:
    for cluster_id in release.clusters:
        running.got_it.add(cluster_id)
        running.put(released(running.targets[cluster_id], 1, now), now)


def moved(target: TargetView, move: MoveTarget) -> TargetView:
    """What the move makes of the target; one that is taken up again forgets its release."""
    again = move.becomes is TargetState.TO_APPLY
    return replace(
        target,
        state=move.becomes,
        skip_reason=move.skip_reason,
        ready_since=move.ready_since,
        generation=None if again else target.generation,
        released_at=None if again else target.released_at,
    )


def released(target: TargetView, generation: int, now: datetime) -> TargetView:
    """The target once it was released as this generation of its assignment."""
    return replace(
        target,
        state=TargetState.RELEASED,
        generation=generation,
        released_at=now,
        ready_since=None,
    )
