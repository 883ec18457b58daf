"""One target of a rollout, its cluster and its reports, to ask what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.states import (
    ExtensionPhase,
    RolloutKind,
    RolloutState,
    SkipReason,
    TargetState,
)
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import MoveTarget
from shared.planner.view import Reach, Report, RolloutView, TargetView

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID, CLUSTER = UUID(int=7), UUID(int=1)
STRATEGY = RolloutStrategy.model_validate(
    {
        "stages": [{"name": "first", "soak": "0s"}, {"name": "second", "soak": "5m"}],
        "progressDeadline": "10m",
        "offline": {"after": "20m"},
    }
)
READY, APPLYING = ExtensionPhase.READY, ExtensionPhase.APPLYING
SILENT = Reach(connected=False, silent_since=T0)
RESTING = Reach(not_now_until=T0 + timedelta(hours=1))


def after(**by: float) -> datetime:
    return T0 + timedelta(**by)


def view(kind: RolloutKind = RolloutKind.PUBLISH) -> RolloutView:
    return RolloutView(ID, kind, RolloutState.RUNNING, STRATEGY, T0 - timedelta(days=1), ())


def target(state: TargetState = TargetState.RELEASED, **fields: Any) -> TargetView:
    made = TargetView(CLUSTER, "eu-1", 1, 3, state, "sha256:a", generation=4, released_at=T0)
    return replace(made, **fields)


def report(phase: ExtensionPhase = APPLYING, **fields: Any) -> Report:
    made = Report(ID, "sha256:a", 4, phase, ReasonCode.PROGRESSING, "pulling")
    return replace(made, **fields)


def moved(found: MoveTarget | None, was: TargetState = TargetState.RELEASED) -> tuple[Any, ...]:
    """Becomes, reason, message, skip reason, ready since; the rest is the target's own."""
    assert found is not None
    own = (found.cluster_id, found.cluster, found.stage, found.was)
    assert own == (CLUSTER, "eu-1", 1, was)
    return (found.becomes, found.reason, found.message, found.skip_reason, found.ready_since)


DEREGISTERED = (
    TargetState.SKIPPED, ReasonCode.CERTIFICATE_REVOKED, "no longer registered",
    SkipReason.DEREGISTERED, None,
)  # fmt: skip
OFFLINE = (
    TargetState.SKIPPED, ReasonCode.CLUSTER_OFFLINE, "silent: taken up when it returns",
    SkipReason.OFFLINE, None,
)  # fmt: skip
NOT_NOW = (
    TargetState.SKIPPED, ReasonCode.NOT_NOW, "asked to be left alone: taken up after that",
    SkipReason.NOT_NOW, None,
)  # fmt: skip
