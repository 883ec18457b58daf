"""What a rollout says that it waits for: reason, sentence, since when, until when, and its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import AwaitApproval, Decision, End, Pause, RollBack, Start
from shared.planner.pacing import Pacing
from shared.planner.view import Found, Lack, Reach, RolloutView, StageView, TargetView
from shared.planner.waiting import look_again_at, paced, paused, waiting_for
from shared.planner.windows import Verdict

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
REPORTED = "they report that they are ready or have failed"
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
            f"1 targets of stage first in flight: {REPORT}",
            REPORTED,
            T0 + timedelta(minutes=10),
        ),
    ),
    "reports of which none has a time": (
        view(first(in_flight=1, to_apply=1)),
        expected(ReasonCode.PROGRESSING, f"1 targets of stage first in flight: {REPORT}", REPORTED),
    ),
    "a place": (
        view(first(in_flight=2, to_apply=1, succeeded=1, first_release=T0, first_ready=T0)),
        expected(
            ReasonCode.CONCURRENCY_REACHED,
            f"all 2 places of stage first are taken: {REPORT}",
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
            "1 targets of stage first in flight: ready, and watched for the soak time",
            "they stayed ready through it",
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
            "freeze x is in force: 3 targets of stage first wait, 1 in flight go on being watched",
            "the freeze ends, is removed, or is overridden for this rollout",
            NOW,
        ),
    ),
    "reports, under a freeze that holds none": (
        view(
            first(in_flight=1),
            freeze=Verdict(ReasonCode.FREEZE_ACTIVE, "freeze x is in force", NOW),
        ),
        expected(ReasonCode.PROGRESSING, f"1 targets of stage first in flight: {REPORT}", REPORTED),
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
            "2 clusters of stage first cannot be reached: they are released when they return, "
            "or skipped",
            "they return, or are skipped",
            T0 + timedelta(minutes=21),
        ),
    ),
    "clusters that never spoke": (
        view(first(to_apply=2), unreachable=(target(1, reach=Reach(False, None)),)),
        expected(
            ReasonCode.CLUSTER_OFFLINE,
            "2 clusters of stage first cannot be reached: they are released when they return, "
            "or skipped",
            "they return, or are skipped",
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
        expected(
            ReasonCode.PROGRESSING, f"1 targets of stage second in flight: {REPORT}", REPORTED
        ),
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


BROKEN = Pause(reason=ReasonCode.FAILURE_BUDGET_EXCEEDED, message="2 of 3 failed")
ASKED = AwaitApproval(stage=1, reason=ReasonCode.AWAITING_APPROVAL, message="asks")
STARTED = Start(reason=ReasonCode.PROGRESSING, message="the rollout starts")
OVER = End(state=RolloutState.FAILED, reason=ReasonCode.ROLLOUT_FAILED, message="over")
BACK = RollBack(quarantine=True, reason=ReasonCode.FAILURE_BUDGET_EXCEEDED, message="back")


def test_what_was_decided_goes_before_what_is_there() -> None:
    seen = view(first(in_flight=1), behind=UUID(int=9))
    assert said(seen, STARTED, OVER) is None
    assert said(seen, BACK) is None
    assert said(seen, STARTED, BROKEN) == expected(BROKEN.reason, BROKEN.message, RESUMED)
    ends = "an operator approves it; an approval is waited for without an end"
    assert said(seen, STARTED, ASKED) == expected(ASKED.reason, "asks", ends)


def test_a_paused_rollout_keeps_why_it_was_paused() -> None:
    noted = WaitingFor(reason=ReasonCode.FAILURE_BUDGET_EXCEEDED, message="2 of 3", since=T0)
    by_hand = WaitingFor(reason=ReasonCode.ROLLOUT_PAUSED, message="by a person", since=T0)
    other = WaitingFor(reason=ReasonCode.PACED, message="slow", since=T0)
    assert paused(view(waiting_for=noted)) is noted
    assert paused(view(waiting_for=by_hand)) is by_hand
    plain = WaitingFor(
        reason=ReasonCode.ROLLOUT_PAUSED,
        message="paused: an operator has to resume or cancel it",
        ends_when=RESUMED,
    )
    assert paused(view()) == plain
    assert paused(view(waiting_for=other)) == plain
    assert said(view(state=RolloutState.PAUSED, waiting_for=noted)) == noted


def test_since_stays_while_the_reason_does() -> None:
    for before, since in (
        (WaitingFor(reason=ReasonCode.PROGRESSING, message="", since=T0), T0),
        (WaitingFor(reason=ReasonCode.SOAKING, message="", since=T0), NOW),
        (WaitingFor(reason=ReasonCode.PROGRESSING, message=""), NOW),
    ):
        found = said(view(first(in_flight=1), waiting_for=before))
        assert found is not None
        assert found.since == since


def test_a_paced_rollout_says_how_many_wait_at_which_rate_and_why() -> None:
    until = NOW + timedelta(seconds=3)
    plain = paced(view(), 4, None, NOW, until)
    assert plain == expected(
        ReasonCode.PACED,
        "4 targets could be released and wait for the pace",
        "the pace has tokens for them",
        until,
    )
    calm = Pacing(30.0, T0, T0)
    assert paced(view(), 4, calm, NOW, until).message == f"{plain.message} of 30 a minute"
    slow = replace(calm, per_minute=7.5, reason=ReasonCode.SLOWED_BY_LAG, message="16 s behind")
    why = f"{plain.message} of 7.5 a minute (SlowedByLag: 16 s behind)"
    assert paced(view(), 4, slow, NOW, until).message == why
    before = WaitingFor(reason=ReasonCode.PACED, message="", since=T0)
    assert paced(view(waiting_for=before), 4, None, NOW, until).since == T0
    other = WaitingFor(reason=ReasonCode.SOAKING, message="", since=T0)
    assert paced(view(waiting_for=other), 4, None, NOW, until).since == NOW
    unknown = WaitingFor(reason=ReasonCode.PACED, message="")
    assert paced(view(waiting_for=unknown), 4, None, NOW, until).since == NOW


IDLE = NOW + timedelta(hours=9)


@pytest.mark.parametrize(
    ("stage", "moment"),
    [
        (first(succeeded=4), None),
        (StageView(0, "first", 4, to_apply=4), None),
        (first(to_apply=1), IDLE),
        (first(skipped=1), IDLE),
        (first(in_flight=1, first_release=T0), T0 + timedelta(minutes=10)),
        (first(in_flight=1, first_ready=T0), T0 + timedelta(minutes=5)),
        (first(in_flight=1, first_ready=T0, first_release=T0), T0 + timedelta(minutes=5)),
        (first(succeeded=4, first_ready=T0, first_release=T0), None),
    ],
)
def test_it_is_looked_at_again_when_time_alone_may_change_something(
    stage: StageView, moment: datetime | None
) -> None:
    assert look_again_at(view(), [stage], IDLE) == moment


def test_it_is_looked_at_again_when_a_freeze_ends_that_holds_something() -> None:
    frozen = view(freeze=Verdict(ReasonCode.FREEZE_ACTIVE, "", NOW))
    assert look_again_at(frozen, [first(to_apply=1)], IDLE) == NOW
    assert look_again_at(frozen, [first(in_flight=1)], IDLE) == IDLE
    assert look_again_at(view(), [first(to_apply=1)], IDLE) == IDLE


def test_a_rollbacks_stage_is_full_when_its_own_places_are_taken() -> None:
    stages = [{"name": "first", "maxConcurrent": 1}, {"name": "second", "maxConcurrent": 2}]
    skipped, busy = first(skipped=4), StageView(1, "second", 4, 2, 2, opened_at=T0)
    seen = view(skipped, busy, strategy=RolloutStrategy.model_validate({"stages": stages}))
    for kind, places in ((RolloutKind.PUBLISH, 1), (RolloutKind.ROLLBACK, 2)):
        found = said(replace(seen, kind=kind))
        assert found is not None
        assert found.message == f"all {places} places of stage second are taken: {REPORT}"
