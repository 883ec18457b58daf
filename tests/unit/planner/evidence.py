"""What an adaptive rollout has seen, to build its pacing from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.states import TargetState
from shared.contract.strategy import Pace
from shared.planner.adaptive import learn
from shared.planner.decisions import MoveTarget
from shared.planner.pacing import Pacing, begin
from shared.planner.view import TargetView

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PACE = Pace.model_validate({"perMinute": 60, "mode": "adaptive", "minPerMinute": 5})


def ended(pacing: Pacing, *seconds: float | None, now: datetime = NOW) -> Pacing:
    """After these targets ended."""
    targets, moves = {}, []
    for number, took in enumerate(seconds):
        cluster_id = UUID(int=number)
        released = None if took is None else now - timedelta(seconds=took)
        targets[cluster_id] = TargetView(
            cluster_id, f"c{number}", 0, number, TargetState.APPLYING, "d", released_at=released
        )
        moves.append(move(cluster_id, None if took is None else now))
    return learn(pacing, moves, targets)


def move(cluster_id: UUID, ready_since: datetime | None) -> MoveTarget:
    return MoveTarget(
        cluster_id=cluster_id,
        cluster="c",
        stage=0,
        was=TargetState.APPLYING,
        becomes=TargetState.FAILED if ready_since is None else TargetState.SUCCEEDED,
        ready_since=ready_since,
        reason=ReasonCode.UPGRADE_SUCCEEDED,
        message="",
    )


def after(*spans: Sequence[float | None]) -> Pacing:
    """A rollout at its first rate, after these targets ended, all of a span at once."""
    pacing = begin(PACE, NOW)
    for seconds in spans:
        pacing = ended(pacing, *seconds)
    return pacing
