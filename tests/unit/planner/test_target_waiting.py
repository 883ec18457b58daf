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


APPROVAL = waits(
    ReasonCode.AWAITING_APPROVAL,
    "stage second is not approved yet",
    "an operator approves it; an approval is waited for without an end",
    T0,
)
OPENED = ago(minutes=30)
PASSED = {"to_apply": 0, "succeeded": 2}
ASKED = WaitingFor(reason=ReasonCode.AWAITING_APPROVAL, message="asks", since=ago(minutes=7))
SLOW = WaitingFor(
    reason=ReasonCode.PACED, message="", since=ago(minutes=1), until=NOW + timedelta(seconds=9)
)

HELD_BACK: dict[str, tuple[RolloutView, TargetView, WaitingFor]] = {
    "the pace": (
        view(),
        target(),
        waits(
            ReasonCode.PACED,
            "it is among the next to be released, at the rollout's pace",
            "the pace has a token for it",
            OPENED,
        ),
    ),
    "the pace, with the time of the next token": (
        view(waiting_for=SLOW),
        target(),
        waits(
            ReasonCode.PACED,
            "it is among the next to be released, at the rollout's pace",
            "the pace has a token for it",
            OPENED,
            NOW + timedelta(seconds=9),
        ),
    ),
    "the pace, while the rollout waits for something else": (
        view(waiting_for=SLOW.model_copy(update={"reason": ReasonCode.SOAKING})),
        target(),
        waits(
            ReasonCode.PACED,
            "it is among the next to be released, at the rollout's pace",
            "the pace has a token for it",
            OPENED,
        ),
    ),
    "a place": (
        view(stages=busy(in_flight=1)),
        target(),
        waits(
            ReasonCode.CONCURRENCY_REACHED,
            "all 1 places of stage first are taken",
            "a target that is in flight succeeds, fails or is skipped",
            OPENED,
        ),
    ),
    "the stage before its own": (
        view(stages=busy(in_flight=1)),
        target(stage=1),
        waits(
            ReasonCode.STAGE_ORDER,
            "stage first goes before stage second",
            "all 3 targets left in stage first are done",
            T0,
        ),
    ),
    "an approval": (view(stages=busy(**PASSED)), target(stage=1), APPROVAL),
    "an approval that was asked for": (
        view(stages=busy(**PASSED), waiting_for=ASKED),
        target(stage=1),
        APPROVAL.model_copy(update={"since": ago(minutes=7)}),
    ),
    "an approval, by a rollout that says something else": (
        view(stages=busy(**PASSED), waiting_for=NOTED),
        target(stage=1),
        APPROVAL,
    ),
    "an approval, asked for nobody knows when": (
        view(stages=busy(**PASSED), waiting_for=ASKED.model_copy(update={"since": None})),
        target(stage=1),
        APPROVAL,
    ),
    "the next look, once approved": (
        view(stages=(busy(**PASSED)[0], replace(view().stages[1], approved_at=NOW))),
        target(stage=1),
        waits(ReasonCode.STAGE_ORDER, "stage second is about to open", LOOKED_AT, T0),
    ),
    "the next look, as no approval is needed": (
        view(stages=(replace(view().stages[0], opened_at=None), view().stages[1])),
        target(),
        waits(ReasonCode.STAGE_ORDER, "stage first is about to open", LOOKED_AT, T0),
    ),
    "the next look, as a rollback needs no approval": (
        view(kind=RolloutKind.ROLLBACK, stages=busy(**PASSED)),
        target(stage=1),
        waits(ReasonCode.STAGE_ORDER, "stage second is about to open", LOOKED_AT, T0),
    ),
    "a person to resume it": (
        view(state=RolloutState.PAUSED, waiting_for=NOTED),
        target(stage=1, reach=SILENT),
        NOTED,
    ),
    "a rollback that goes first": (
        view(behind=UUID(int=9)),
        target(stage=1),
        waits(
            ReasonCode.BEHIND_ROLLBACK,
            f"rollback {UUID(int=9)} of the same extension goes first",
            "that rollback ends",
            T0,
        ),
    ),
    "a rollback that has gone first for a while": (
        view(
            behind=UUID(int=9),
            waiting_for=ASKED.model_copy(update={"reason": ReasonCode.BEHIND_ROLLBACK}),
        ),
        target(),
        waits(
            ReasonCode.BEHIND_ROLLBACK,
            f"rollback {UUID(int=9)} of the same extension goes first",
            "that rollback ends",
            ago(minutes=7),
        ),
    ),
    "the end of a freeze": (
        view(freeze=FREEZE, stages=busy(in_flight=1)),
        target(),
        waits(
            ReasonCode.FREEZE_ACTIVE,
            "freeze x is in force",
            "nothing holds releases any more, or someone overrides it",
            T0,
            NOW + timedelta(days=1),
        ),
    ),
    "the end of a freeze that holds it for a while": (
        view(
            freeze=FREEZE,
            waiting_for=ASKED.model_copy(update={"reason": ReasonCode.FREEZE_ACTIVE}),
        ),
        target(),
        waits(
            ReasonCode.FREEZE_ACTIVE,
            "freeze x is in force",
            "nothing holds releases any more, or someone overrides it",
            ago(minutes=7),
            NOW + timedelta(days=1),
        ),
    ),
    "a dependency": (
        view(freeze=FREEZE),
        target(lacks=Lack("db", Found.FAILED, ago(minutes=3))),
        waits(
            ReasonCode.DEPENDENCY_NOT_READY,
            "db failed there",
            "that has changed on this cluster; it keeps its place until then",
            ago(minutes=3),
        ),
    ),
    "a dependency that was missing before the stage opened": (
        view(),
        target(lacks=Lack("db", Found.COMING, ago(hours=3))),
        waits(
            ReasonCode.DEPENDENCY_NOT_READY,
            "db is to be brought up to date there first",
            "that has changed on this cluster; it keeps its place until then",
            OPENED,
        ),
    ),
    "a dependent": (
        view(),
        target(lacks=Lack("app", Found.DEPENDS)),
        waits(
            ReasonCode.DEPENDENT_PRESENT,
            "app depends on it and is still there",
            "that has changed on this cluster; it keeps its place until then",
            OPENED,
        ),
    ),
}

OF_ITS_CLUSTER: dict[str, tuple[RolloutView, TargetView, WaitingFor]] = {
    "a silent cluster": (
        view(),
        target(reach=SILENT),
        waits(
            ReasonCode.CLUSTER_OFFLINE,
            "the cluster is silent",
            RETURNS,
            ago(minutes=4),
            NOW + timedelta(minutes=6),
        ),
    ),
    "a cluster that never spoke": (
        view(),
        target(reach=Reach(connected=False)),
        waits(
            ReasonCode.CLUSTER_OFFLINE,
            "the cluster is silent",
            RETURNS,
            T0,
            T0 + timedelta(minutes=10),
        ),
    ),
    "a cluster that never spoke since the release": (
        view(),
        released(reach=Reach(connected=False)),
        waits(
            ReasonCode.CLUSTER_OFFLINE,
            "the cluster is silent",
            RETURNS,
            ago(minutes=2),
            NOW + timedelta(minutes=8),
        ),
    ),
    "a cluster that rests": (
        view(),
        target(reach=BUSY),
        waits(
            ReasonCode.NOT_NOW,
            "the cluster asked to be left alone",
            "that time is over",
            T0,
            NOW + timedelta(hours=3),
        ),
    ),
    "a cluster that rests since the release": (
        view(),
        released(reach=BUSY),
        waits(
            ReasonCode.NOT_NOW,
            "the cluster asked to be left alone",
            "that time is over",
            ago(minutes=2),
            NOW + timedelta(hours=3),
        ),
    ),
    "a cluster that is gone": (
        view(),
        target(reach=Reach(gone=True, silent_since=ago(minutes=8))),
        waits(
            ReasonCode.CERTIFICATE_REVOKED,
            "the cluster is no longer registered",
            f"{LOOKED_AT}: the target is skipped then",
            ago(minutes=8),
        ),
    ),
    "the return of a cluster that was skipped": (
        view(),
        target(TargetState.SKIPPED, skip_reason=SkipReason.OFFLINE, reach=SILENT),
        waits(
            ReasonCode.CLUSTER_OFFLINE,
            "the cluster is silent",
            "the cluster returns: it is taken up again then",
            ago(minutes=4),
        ),
    ),
    "the rest of a cluster that was skipped": (
        view(),
        target(TargetState.SKIPPED, skip_reason=SkipReason.NOT_NOW, reach=BUSY),
        waits(
            ReasonCode.NOT_NOW,
            "the cluster asked to be left alone",
            "that time is over",
            T0,
            NOW + timedelta(hours=3),
        ),
    ),
    "a look at a cluster that is back": (
        view(),
        target(
            TargetState.SKIPPED, skip_reason=SkipReason.OFFLINE,
            reach=Reach(silent_since=ago(minutes=5)),
        ),
        waits(
            ReasonCode.CLUSTER_CONNECTED,
            "the cluster is back",
            f"{LOOKED_AT}: the target is taken up then",
            ago(minutes=5),
        ),
    ),
}  # fmt: skip

HELD = report(ReasonCode.DEPENDENCY_NOT_READY, message="waits for db")
IN_FLIGHT: dict[str, tuple[RolloutView, TargetView, WaitingFor]] = {
    "an agent that has not begun": (
        view(),
        released(TargetState.RELEASED),
        waits(
            ReasonCode.PROGRESSING,
            "it was released, and its agent has not begun yet",
            REPORTS,
            ago(minutes=2),
            NOW + timedelta(minutes=8),
        ),
    ),
    "an agent whose last report is of another release": (
        view(),
        released(report=replace(report(ReasonCode.ARTIFACT_FAILED), generation=9)),
        waits(
            ReasonCode.PROGRESSING,
            "it was released, and its agent has not begun yet",
            REPORTS,
            ago(minutes=2),
            NOW + timedelta(minutes=8),
        ),
    ),
    "an agent at work": (
        view(),
        released(report=report(ReasonCode.ARTIFACT_FAILED, message="no such chart")),
        waits(
            ReasonCode.ARTIFACT_FAILED,
            "its agent is at work: no such chart",
            REPORTS,
            ago(minutes=2),
            NOW + timedelta(minutes=8),
        ),
    ),
    "an agent that was let go by a dependency": (
        view(),
        released(report=report(unheld_at=ago(minutes=1))),
        waits(
            ReasonCode.PROGRESSING,
            "its agent is at work: Progressing",
            REPORTS,
            ago(minutes=2),
            NOW + timedelta(minutes=9),
        ),
    ),
    "an agent, released nobody knows when": (
        view(),
        target(TargetState.APPLYING, generation=1),
        waits(
            ReasonCode.PROGRESSING,
            "it was released, and its agent has not begun yet",
            REPORTS,
            T0,
            T0 + timedelta(minutes=10),
        ),
    ),
    "a dependency that its agent waits for": (
        view(),
        released(report=HELD),
        waits(
            ReasonCode.DEPENDENCY_NOT_READY,
            "waits for db",
            "the dependency is ready on this cluster; no deadline runs until then",
            ago(minutes=2),
        ),
    ),
    "a dependency that its agent does not name": (
        view(),
        released(report=report(ReasonCode.DEPENDENCY_NOT_READY)),
        waits(
            ReasonCode.DEPENDENCY_NOT_READY,
            "its agent waits for a dependency",
            "the dependency is ready on this cluster; no deadline runs until then",
            ago(minutes=2),
        ),
    ),
    "its deadline, as a rollback is not held by a dependency": (
        view(kind=RolloutKind.ROLLBACK),
        released(report=HELD),
        waits(
            ReasonCode.DEPENDENCY_NOT_READY,
            "its agent is at work: waits for db",
            REPORTS,
            ago(minutes=2),
            NOW + timedelta(minutes=8),
        ),
    ),
    "its soak": (
        view(),
        released(TargetState.VERIFYING, ready_since=ago(minutes=1)),
        waits(
            ReasonCode.SOAKING,
            "it is ready, and watched for the soak time",
            "it stayed ready until then",
            ago(minutes=1),
            NOW + timedelta(minutes=4),
        ),
    ),
    "its soak, ready nobody knows since when": (
        view(),
        released(TargetState.VERIFYING, reach=BUSY),
        waits(
            ReasonCode.SOAKING,
            "it is ready, and watched for the soak time",
            "it stayed ready until then",
            ago(minutes=2),
            NOW + timedelta(minutes=3),
        ),
    ),
    "a cluster that fell silent in its soak": (
        view(),
        released(TargetState.VERIFYING, reach=SILENT, ready_since=ago(minutes=5)),
        waits(
            ReasonCode.CLUSTER_OFFLINE,
            "the cluster is silent",
            RETURNS,
            ago(minutes=4),
            NOW + timedelta(minutes=6),
        ),
    ),
    "its way back": (
        view(state=RolloutState.ROLLING_BACK, waiting_for=NOTED),
        released(TargetState.SUCCEEDED),
        waits(
            ReasonCode.ROLLING_BACK,
            "the rollout is being taken back",
            "the rollback has brought the cluster back",
            ago(minutes=9),
        ),
    ),
}

CASES = HELD_BACK | OF_ITS_CLUSTER | IN_FLIGHT


@pytest.mark.parametrize("case", CASES)
def test_a_target_waits_for(case: str) -> None:
    seen, one, said = CASES[case]
    assert target_waiting_for(seen, one, NOW) == said


def test_a_way_back_that_nobody_timed_has_no_since() -> None:
    said = target_waiting_for(view(state=RolloutState.ROLLING_BACK), released(), NOW)
    assert said is not None
    assert said.since is None


@pytest.mark.parametrize(
    ("seen", "one"),
    [
        (view(state=RolloutState.CANCELLED), target()),
        (view(state=RolloutState.ROLLING_BACK), target()),
        (view(), released(TargetState.SUCCEEDED)),
        (view(), released(TargetState.FAILED)),
        (view(), released(TargetState.TIMED_OUT)),
        (view(), target(TargetState.SKIPPED, skip_reason=SkipReason.DEREGISTERED)),
        (
            view(kind=RolloutKind.ROLLBACK),
            target(TargetState.SKIPPED, skip_reason=SkipReason.OFFLINE),
        ),
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


def test_a_rollbacks_stage_has_all_its_places_whatever_was_skipped_before() -> None:
    first, second = view().stages
    wide = RolloutStrategy.model_validate(
        {"stages": [{"name": "first", "maxConcurrent": 1}, {"name": "second", "maxConcurrent": 3}]}
    )
    stages = (
        replace(first, to_apply=0, skipped=2),
        replace(second, to_apply=2, in_flight=1, opened_at=OPENED),
    )
    reasons = [
        said.reason
        for kind in (RolloutKind.PUBLISH, RolloutKind.ROLLBACK)
        if (
            said := target_waiting_for(
                view(kind=kind, strategy=wide, stages=stages), target(stage=1), NOW
            )
        )
    ]
    assert reasons == [ReasonCode.CONCURRENCY_REACHED, ReasonCode.PACED]


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
