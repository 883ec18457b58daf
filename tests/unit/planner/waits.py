"""A rollout of two stages and its targets, to ask what they wait for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import ExtensionPhase, RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy
from shared.planner.view import Reach, Report, RolloutView, StageView, TargetView
from shared.planner.windows import Verdict

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = T0 + timedelta(hours=1)
ID = UUID(int=7)
STRATEGY = RolloutStrategy.model_validate(
    {
        "stages": [
            {"name": "first", "maxConcurrent": 1, "soak": "5m"},
            {"name": "second", "approval": "required"},
        ],
        "offline": {"after": "10m"},
    }
)


def ago(**by: float) -> datetime:
    return NOW - timedelta(**by)


def target(state: TargetState = TargetState.TO_APPLY, **fields: Any) -> TargetView:
    made = TargetView(UUID(int=1), "eu-1", 0, 0, state, "sha256:a")
    return replace(made, **fields)


def view(**fields: Any) -> RolloutView:
    first = StageView(0, "first", 2, to_apply=2, opened_at=ago(minutes=30))
    made = RolloutView(
        ID, RolloutKind.PUBLISH, RolloutState.RUNNING, STRATEGY, T0,
        (first, StageView(1, "second", 1, to_apply=1)),
    )  # fmt: skip
    return replace(made, **fields)


def busy(**changes: int) -> tuple[StageView, ...]:
    first, second = view().stages
    return replace(first, **changes), second  # type: ignore[arg-type] # counters only


def report(reason: ReasonCode = ReasonCode.PROGRESSING, **fields: Any) -> Report:
    return Report(ID, "sha256:a", 1, ExtensionPhase.APPLYING, reason, **fields)


def released(state: TargetState = TargetState.APPLYING, **fields: Any) -> TargetView:
    return target(state, generation=1, released_at=ago(minutes=2), **fields)


SILENT = Reach(connected=False, silent_since=ago(minutes=4))
BUSY = Reach(not_now_until=NOW + timedelta(hours=3))
NOTED = WaitingFor(
    reason=ReasonCode.ROLLOUT_PAUSED, message="paused by person:x", since=ago(minutes=9),
    ends_when="an operator resumes or cancels it",
)  # fmt: skip
FREEZE = Verdict(ReasonCode.FREEZE_ACTIVE, "freeze x is in force", NOW + timedelta(days=1))

RETURNS = "it returns, or has been silent for too long"
REPORTS = "its agent reports that it is ready or has failed; it times out then"
LOOKED_AT = "the rollout is looked at next"


def waits(
    reason: ReasonCode,
    message: str,
    ends_when: str,
    since: datetime,
    until: datetime | None = None,
) -> WaitingFor:
    return WaitingFor(reason=reason, message=message, since=since, until=until, ends_when=ends_when)
