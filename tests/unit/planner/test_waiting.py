"""What a rollout says that it waits for: reason, sentence, until when, and its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind
from shared.contract.strategy import RolloutStrategy
from shared.planner.view import Found, Reach, RolloutView, StageView
from shared.planner.windows import Verdict
from tests.unit.planner.sentences import (
    NOW,
    REPORT,
    REPORTED,
    T0,
    expected,
    first,
    lacking,
    said,
    target,
    view,
)

CASES: dict[str, tuple[RolloutView, WaitingFor]] = {
    "nothing in its way": (
        view(first(to_apply=1), candidates=(target(),)),
        expected(ReasonCode.PROGRESSING, "targets are being released", "they are out"),
    ),
    "stages that are closed or done": (
        view(StageView(0, "first", 1, to_apply=1), first(succeeded=4)),
        expected(ReasonCode.PROGRESSING, "targets are being released", "they are out"),
    ),
    "a rollback before it": (
        view(first(to_apply=1), behind=UUID(int=9)),
        expected(
            ReasonCode.BEHIND_ROLLBACK,
            f"rollback {UUID(int=9)} of the same extension must end first",
            "that rollback ends",
        ),
    ),
    "reports": (
        view(first(in_flight=1, first_release=T0)),
        expected(
            ReasonCode.PROGRESSING,
            f"1 target of stage first in flight: {REPORT}",
            REPORTED,
            T0 + timedelta(minutes=10),
        ),
    ),
    "reports of which none has a time": (
        view(first(in_flight=1, to_apply=1)),
        expected(ReasonCode.PROGRESSING, f"1 target of stage first in flight: {REPORT}", REPORTED),
    ),
    "a place": (
        view(first(in_flight=2, to_apply=1, succeeded=1, first_release=T0, first_ready=T0)),
        expected(
            ReasonCode.CONCURRENCY_REACHED,
            f"all 2 places of stage first in use: {REPORT}",
            REPORTED,
            T0 + timedelta(minutes=10),
        ),
    ),
    "no place, as none is left to release": (
        view(first(in_flight=2, succeeded=2, first_release=T0)),
        expected(
            ReasonCode.PROGRESSING,
            f"2 targets of stage first in flight: {REPORT}",
            REPORTED,
            T0 + timedelta(minutes=10),
        ),
    ),
    "the soak": (
        view(first(in_flight=1, first_ready=T0)),
        expected(
            ReasonCode.SOAKING,
            "1 target of stage first in flight: ready, and watched for the soak time",
            "each stayed ready through it",
            T0 + timedelta(minutes=5),
        ),
    ),
    "the end of a freeze": (
        view(
            first(to_apply=3, in_flight=1),
            freeze=Verdict(ReasonCode.FREEZE_ACTIVE, "freeze x is in force", NOW),
        ),
        expected(
            ReasonCode.FREEZE_ACTIVE,
            "freeze x is in force, with 3 targets of stage first waiting and 1 in flight, "
            "still watched",
            "the freeze ends, is removed, or is overridden for this rollout",
            NOW,
        ),
    ),
    "reports, under a freeze that holds none": (
        view(
            first(in_flight=1),
            freeze=Verdict(ReasonCode.FREEZE_ACTIVE, "freeze x is in force", NOW),
        ),
        expected(ReasonCode.PROGRESSING, f"1 target of stage first in flight: {REPORT}", REPORTED),
    ),
    "clusters that are silent": (
        view(
            first(to_apply=2),
            unreachable=(
                target(1, reach=Reach(False, T0 + timedelta(minutes=2))),
                target(2, reach=Reach(False, T0 + timedelta(minutes=1))),
                target(3, reach=Reach(False, None)),
                target(4, 1, reach=Reach(False, T0)),
            ),
        ),
        expected(
            ReasonCode.CLUSTER_OFFLINE,
            "2 clusters of stage first cannot be reached: released on return, or skipped",
            "each returns, or is skipped",
            T0 + timedelta(minutes=21),
        ),
    ),
    "clusters that never spoke": (
        view(first(to_apply=2), unreachable=(target(1, reach=Reach(False, None)),)),
        expected(
            ReasonCode.CLUSTER_OFFLINE,
            "2 clusters of stage first cannot be reached: released on return, or skipped",
            "each returns, or is skipped",
        ),
    ),
    "another extension": (
        view(
            first(to_apply=2),
            candidates=(target(9, 1),),
            lacking=(*(lacking(n) for n in range(1, 4)), target(8, 1, lacks=None)),
        ),
        expected(
            ReasonCode.DEPENDENCY_NOT_READY,
            "targets of stage first wait for other extensions on their clusters "
            "(c1: db is not ready there; c2: db is not ready there; c3: db is not ready there)",
            "that has changed there; they keep their places, and no deadline runs",
        ),
    ),
    "another extension on one cluster": (
        view(first(to_apply=2), lacking=(lacking(1, Found.ABSENT),)),
        expected(
            ReasonCode.DEPENDENCY_NOT_READY,
            "targets of stage first wait for other extensions on their clusters "
            "(c1: db is not there)",
            "that has changed there; they keep their places, and no deadline runs",
        ),
    ),
    "another extension on many": (
        view(first(to_apply=5), lacking=tuple(lacking(n, Found.DEPENDS) for n in range(1, 5))),
        expected(
            ReasonCode.DEPENDENT_PRESENT,
            "targets of stage first wait for other extensions on their clusters "
            "(c1: db depends on it and is still there; c2: db depends on it and is still there; "
            "c3: db depends on it and is still there, and others)",
            "that has changed there; they keep their places, and no deadline runs",
        ),
    ),
    "the first stage that has something to say": (
        view(first(succeeded=4), StageView(1, "second", 2, in_flight=1, opened_at=T0)),
        expected(ReasonCode.PROGRESSING, f"1 target of stage second in flight: {REPORT}", REPORTED),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rollout_waits_for(case: str) -> None:
    seen, sentence = CASES[case]
    found = said(seen)
    assert found is not None
    assert found.model_copy(update={"ends_when": ""}) == sentence.model_copy(
        update={"ends_when": ""}
    )
    if sentence.reason is not ReasonCode.FREEZE_ACTIVE:
        assert found.ends_when == sentence.ends_when


def test_a_rollbacks_stage_is_full_when_its_own_places_are_taken() -> None:
    stages = [{"name": "first", "maxConcurrent": 1}, {"name": "second", "maxConcurrent": 2}]
    skipped, busy = first(skipped=4), StageView(1, "second", 4, 2, 2, opened_at=T0)
    seen = view(skipped, busy, strategy=RolloutStrategy.model_validate({"stages": stages}))
    for kind, places in (
        (RolloutKind.PUBLISH, "the only place"),
        (RolloutKind.ROLLBACK, "all 2 places"),
    ):
        found = said(replace(seen, kind=kind))
        assert found is not None
        assert found.message == f"{places} of stage second in use: {REPORT}"
