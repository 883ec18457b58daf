"""A rollout of two stages and its targets, as one look at it sees them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase, RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import Decision
from shared.planner.plan import plan
from shared.planner.view import Reach, Report, RolloutView, StageView, TargetView
from shared.planner.windows import Verdict

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = T0 + timedelta(minutes=1)
ID = UUID(int=7)
SILENT = Reach(connected=False)
RESTING = Reach(not_now_until=NOW + timedelta(hours=1))
FROZEN = Verdict(ReasonCode.FREEZE_ACTIVE, "freeze x is in force")


def strategy(on_failure: str = "rollback", budget: int = 1) -> RolloutStrategy:
    stages = [
        {"name": "one", "maxTargets": 4, "maxConcurrent": 2, "soak": "0s"},
        {"name": "two", "maxConcurrent": 3, "soak": "0s"},
    ]
    return RolloutStrategy.model_validate(
        {
            "stages": stages,
            "maxFailures": budget,
            "onFailure": on_failure,
            "pace": {"perMinute": 60, "mode": "adaptive", "minPerMinute": 5},
        }
    )


def one(**counts: Any) -> StageView:
    return replace(StageView(0, "one", 4, opened_at=T0), **counts)


def two(**counts: Any) -> StageView:
    return replace(StageView(1, "two", 6), **counts)


def view(*stages: StageView, **fields: Any) -> RolloutView:
    made = RolloutView(
        ID, RolloutKind.PUBLISH, RolloutState.RUNNING, strategy(), T0, stages or (one(), two())
    )
    return replace(made, **fields)


def target(number: int = 1, state: TargetState = TargetState.TO_APPLY, **fields: Any) -> TargetView:
    made = TargetView(UUID(int=number), f"c{number}", 0, number, state, "d")
    return replace(made, **fields)


def flying(number: int, phase: ExtensionPhase | None = None, **fields: Any) -> TargetView:
    """Released a minute ago; without a phase it was not heard of."""
    said = None
    if phase is not None:
        said = Report(ID, "d", 1, phase, ReasonCode.UPGRADE_SUCCEEDED, ready_since=NOW)
    state = TargetState.RELEASED if phase is None else TargetState.APPLYING
    made = target(number, state, generation=1, released_at=T0, report=said)
    return replace(made, **fields)


def ready(number: int) -> TargetView:
    return flying(number, ExtensionPhase.READY)


def timed_out(number: int, **fields: Any) -> TargetView:
    return flying(number, released_at=NOW - timedelta(hours=1), **fields)


def decided(seen: RolloutView) -> tuple[Decision, ...]:
    return plan(seen, NOW).decisions


def of_kind(kind: type[Any], seen: RolloutView) -> list[Any]:
    return [decision for decision in decided(seen) if isinstance(decision, kind)]
