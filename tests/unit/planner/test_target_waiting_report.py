"""What a target says that is in flight, or of which nothing more is to come."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind, RolloutState, SkipReason, TargetState
from shared.planner.target_waiting import target_waiting_for
from shared.planner.view import RolloutView, TargetView
from tests.unit.planner.waits import (
    BUSY,
    NOTED,
    NOW,
    REPORTS,
    RETURNS,
    SILENT,
    T0,
    ago,
    released,
    report,
    target,
    view,
    waits,
)

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


@pytest.mark.parametrize("case", IN_FLIGHT)
def test_a_target_waits_for(case: str) -> None:
    seen, one, said = IN_FLIGHT[case]
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
