"""A rollout of two stages, to ask what it says that it waits for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import Decision
from shared.planner.view import Found, Lack, RolloutView, StageView, TargetView
from shared.planner.waiting import waiting_for

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = T0 + timedelta(hours=1)
STRATEGY = RolloutStrategy.model_validate(
    {
        "stages": [
            {"name": "first", "maxConcurrent": 2, "soak": "5m"},
            {"name": "second", "maxConcurrent": 2, "soak": "1m"},
        ],
        "progressDeadline": "10m",
        "offline": {"after": "20m"},
    }
)
REPORT = "waits for their reports, until the deadline at the latest"
REPORTED = "each reports that it is ready or has failed"
RESUMED = "an operator resumes or cancels it"


def first(**counts: Any) -> StageView:
    return replace(StageView(0, "first", 4, opened_at=T0), **counts)


def target(number: int = 1, stage: int = 0, **fields: Any) -> TargetView:
    made = TargetView(UUID(int=number), f"c{number}", stage, number, TargetState.TO_APPLY, "d")
    return replace(made, **fields)


def view(*stages: StageView, **fields: Any) -> RolloutView:
    made = RolloutView(UUID(int=7), RolloutKind.PUBLISH, RolloutState.RUNNING, STRATEGY, T0, stages)
    return replace(made, **fields)


def said(seen: RolloutView, *decisions: Decision) -> WaitingFor | None:
    return waiting_for(seen, seen.stages, decisions, NOW)


def expected(
    reason: ReasonCode, message: str, ends_when: str, until: datetime | None = None
) -> WaitingFor:
    return WaitingFor(reason=reason, message=message, since=NOW, until=until, ends_when=ends_when)


def lacking(number: int, found: Found = Found.NOT_READY) -> TargetView:
    return target(number, lacks=Lack("db", found, None))
