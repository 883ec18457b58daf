"""What one target says that it waits for: the reason, since when, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import (
    ExtensionPhase,
    RolloutKind,
    RolloutState,
    SkipReason,
    TargetState,
)
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import Release
from shared.planner.plan import plan
from shared.planner.target_waiting import target_waiting_for
from shared.planner.view import Found, Lack, Reach, Report, RolloutView, StageView, TargetView
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

CASES = [
    (view(), target(), ReasonCode.PACED, ago(minutes=30), None),
    (view(stages=busy(in_flight=1)), target(), ReasonCode.CONCURRENCY_REACHED,
     ago(minutes=30), None),
    (view(), target(stage=1), ReasonCode.STAGE_ORDER, T0, None),
    (view(stages=busy(to_apply=0, succeeded=2, passed_at=NOW)), target(stage=1),
     ReasonCode.AWAITING_APPROVAL, T0, None),
    (view(state=RolloutState.PAUSED, waiting_for=NOTED), target(), ReasonCode.ROLLOUT_PAUSED,
     ago(minutes=9), None),
    (view(behind=UUID(int=9)), target(), ReasonCode.BEHIND_ROLLBACK, T0, None),
    (view(freeze=FREEZE), target(), ReasonCode.FREEZE_ACTIVE, T0, NOW + timedelta(days=1)),
    (view(), target(reach=SILENT), ReasonCode.CLUSTER_OFFLINE, ago(minutes=4),
     NOW + timedelta(minutes=6)),
    (view(), target(reach=BUSY), ReasonCode.NOT_NOW, T0, NOW + timedelta(hours=3)),
    (view(), target(reach=Reach(gone=True)), ReasonCode.CERTIFICATE_REVOKED, T0, None),
    (view(), target(lacks=Lack("db", Found.FAILED, ago(minutes=3))),
     ReasonCode.DEPENDENCY_NOT_READY, ago(minutes=3), None),
    (view(), target(lacks=Lack("app", Found.DEPENDS)), ReasonCode.DEPENDENT_PRESENT,
     ago(minutes=30), None),
    (view(), released(TargetState.RELEASED), ReasonCode.PROGRESSING, ago(minutes=2),
     NOW + timedelta(minutes=8)),
    (view(), released(report=report(ReasonCode.ARTIFACT_FAILED)), ReasonCode.ARTIFACT_FAILED,
     ago(minutes=2), NOW + timedelta(minutes=8)),
    (view(), released(report=report(ReasonCode.DEPENDENCY_NOT_READY)),
     ReasonCode.DEPENDENCY_NOT_READY, ago(minutes=2), None),
    (view(), released(report=report(unheld_at=ago(minutes=1))), ReasonCode.PROGRESSING,
     ago(minutes=2), NOW + timedelta(minutes=9)),
    (view(), released(TargetState.VERIFYING, ready_since=ago(minutes=1)), ReasonCode.SOAKING,
     ago(minutes=1), NOW + timedelta(minutes=4)),
    (view(), released(TargetState.VERIFYING, reach=SILENT), ReasonCode.CLUSTER_OFFLINE,
     ago(minutes=4), NOW + timedelta(minutes=6)),
    (view(), target(TargetState.SKIPPED, skip_reason=SkipReason.OFFLINE, reach=SILENT),
     ReasonCode.CLUSTER_OFFLINE, ago(minutes=4), None),
    (view(), target(TargetState.SKIPPED, skip_reason=SkipReason.NOT_NOW, reach=BUSY),
     ReasonCode.NOT_NOW, T0, NOW + timedelta(hours=3)),
    (view(), target(TargetState.SKIPPED, skip_reason=SkipReason.OFFLINE),
     ReasonCode.CLUSTER_CONNECTED, T0, None),
    (view(state=RolloutState.ROLLING_BACK, waiting_for=NOTED), released(), ReasonCode.ROLLING_BACK,
     ago(minutes=9), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "one", "reason", "since", "until"), CASES, ids=[str(case[2]) for case in CASES]
)
def test_target_says_what_it_waits_for(
    seen: RolloutView,
    one: TargetView,
    reason: ReasonCode,
    since: datetime,
    until: datetime | None,
) -> None:
    said = target_waiting_for(seen, one, NOW)
    assert said is not None
    assert (said.reason, said.since, said.until) == (reason, since, until)
    assert said.message
    assert said.ends_when


@pytest.mark.parametrize(
    ("seen", "one"),
    [
        (view(state=RolloutState.CANCELLED), target()),
        (view(state=RolloutState.ROLLING_BACK), target()),
        (view(), released(TargetState.SUCCEEDED)),
        (view(), released(TargetState.FAILED)),
        (view(), released(TargetState.TIMED_OUT)),
        (view(), target(TargetState.SKIPPED, skip_reason=SkipReason.DEREGISTERED)),
    ],
)
def test_target_that_nothing_happens_to_any_more_waits_for_nothing(
    seen: RolloutView, one: TargetView
) -> None:
    assert target_waiting_for(seen, one, NOW) is None


def test_a_rollback_releases_to_clusters_that_cannot_act() -> None:
    back = view(kind=RolloutKind.ROLLBACK)
    said = target_waiting_for(back, target(reach=SILENT), NOW)
    assert said is not None
    assert said.reason is ReasonCode.PACED


def test_target_that_lacks_something_is_not_released_and_lets_others_pass() -> None:
    lacking = target(lacks=Lack("db", Found.ABSENT))
    other = target(cluster_id=UUID(int=2), cluster="eu-2", position=1)
    decided = plan(view(candidates=(lacking, other), lacking=(lacking,)), NOW).decisions
    assert [d.clusters for d in decided if isinstance(d, Release)] == [(UUID(int=2),)]


def test_rollout_names_the_clusters_that_lack_something() -> None:
    lacking = target(lacks=Lack("db", Found.NOT_READY))
    said = plan(view(lacking=(lacking,)), NOW).waiting_for
    assert said is not None
    assert said.reason is ReasonCode.DEPENDENCY_NOT_READY
    assert "eu-1: db is not ready there" in said.message
