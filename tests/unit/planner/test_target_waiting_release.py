"""What a target says that waits for its release: the reason, since when, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind, RolloutState
from shared.contract.strategy import RolloutStrategy
from shared.planner.target_waiting import target_waiting_for
from shared.planner.view import Found, Lack, RolloutView, TargetView
from tests.unit.planner.waits import (
    FREEZE,
    LOOKED_AT,
    NOTED,
    NOW,
    SILENT,
    T0,
    ago,
    busy,
    target,
    view,
    waits,
)

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
            "the only place of stage first in use",
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
            "what is left of stage first is done: 3 targets",
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


@pytest.mark.parametrize("case", HELD_BACK)
def test_a_target_waits_for(case: str) -> None:
    seen, one, said = HELD_BACK[case]
    assert target_waiting_for(seen, one, NOW) == said


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
