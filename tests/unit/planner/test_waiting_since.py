"""What goes before what a rollout waits for, since when it does, and when to look again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutState
from shared.planner.decisions import AwaitApproval, End, Pause, RollBack, Start
from shared.planner.pacing import Pacing
from shared.planner.view import StageView
from shared.planner.waiting import look_again_at, paced, paused
from shared.planner.windows import Verdict
from tests.unit.planner.sentences import NOW, RESUMED, T0, expected, first, said, view

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
        "4 targets could be released, but for the pace",
        "the pace has tokens again",
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
