"""One look at a rollout: which decisions, in which order, and when to look again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import (
    ExtensionPhase,
    RolloutKind,
    RolloutState,
    SkipReason,
    TargetState,
)
from shared.planner.decisions import End, MoveTarget, Plan, Release, RollBack, SetPace
from shared.planner.pacing import Pacing, Pressure
from shared.planner.plan import after, plan
from shared.planner.view import Reach
from tests.unit.planner.looks import (
    NOW,
    RESTING,
    SILENT,
    T0,
    decided,
    flying,
    of_kind,
    one,
    ready,
    target,
    timed_out,
    two,
    view,
)


@pytest.mark.parametrize(
    "state",
    [RolloutState.SUCCEEDED, RolloutState.CANCELLED, RolloutState.ROLLING_BACK],
)
def test_nothing_is_decided_about_a_rollout_that_is_over_or_being_taken_back(
    state: RolloutState,
) -> None:
    seen = view(one(to_apply=4), state=state, in_flight=(ready(1),), candidates=(target(2),))
    assert plan(seen, NOW) == Plan((), None, None)


def test_a_paused_rollout_judges_what_is_in_flight_and_nothing_else() -> None:
    seen = view(
        one(to_apply=3, in_flight=1),
        state=RolloutState.PAUSED,
        in_flight=(ready(1),),
        candidates=(target(2),),
        unreachable=(target(3, reach=SILENT),),
        returned=(target(4, TargetState.SKIPPED),),
    )
    assert [(move.cluster, move.becomes) for move in of_kind(MoveTarget, seen)] == [
        ("c1", TargetState.SUCCEEDED)
    ]
    assert len(decided(seen)) == 1


def test_targets_that_nothing_is_to_be_said_of_hide_none_behind_them() -> None:
    talks = flying(1, ExtensionPhase.APPLYING)
    soon = target(3, reach=Reach(False, NOW))
    seen = view(
        one(to_apply=2, in_flight=2),
        in_flight=(talks, ready(2)),
        unreachable=(soon, target(4, reach=RESTING)),
        returned=(
            target(5, TargetState.SKIPPED, reach=RESTING),
            target(6, TargetState.SKIPPED),
        ),
    )
    assert [(move.cluster, move.becomes) for move in of_kind(MoveTarget, seen)] == [
        ("c2", TargetState.SUCCEEDED),
        ("c4", TargetState.SKIPPED),
        ("c6", TargetState.TO_APPLY),
    ]


def test_a_rollback_takes_up_nothing_it_skipped() -> None:
    returned = (target(1, TargetState.SKIPPED, skip_reason=SkipReason.DEREGISTERED),)
    seen = view(one(to_apply=1), kind=RolloutKind.ROLLBACK, returned=returned)
    assert decided(seen) == ()


def test_the_last_stage_ends_it_and_then_there_is_nothing_to_look_at() -> None:
    done = one(succeeded=4, passed_at=T0), two(succeeded=6, opened_at=T0, passed_at=T0)
    found = plan(view(*done, pacing=Pacing(60.0, T0, T0)), NOW)
    assert [type(decision) for decision in found.decisions] == [End]
    assert (found.waiting_for, found.look_again_at, found.pacing) == (None, None, None)


def test_a_rollout_that_ends_before_its_last_stage_is_not_looked_at_again() -> None:
    found = plan(view(one(to_apply=4), quarantined=True), NOW)
    assert [type(decision) for decision in found.decisions] == [End]
    assert (found.waiting_for, found.look_again_at) == (None, None)


def test_a_stopped_rollout_is_looked_at_again_but_goes_by_no_pace_any_more() -> None:
    seen = view(one(failed=2, to_apply=2), pacing=Pacing(60.0, T0, T0))
    found = plan(seen, NOW)
    assert [type(decision) for decision in found.decisions] == [RollBack]
    assert found.pacing is None
    assert found.look_again_at == NOW + timedelta(seconds=30)


def test_a_rollout_says_what_it_waits_for_after_this_look() -> None:
    seen = view(one(to_apply=1, in_flight=2, succeeded=1), in_flight=(ready(1),))
    found = plan(replace(seen, candidates=(target(9),)), NOW)
    assert found.waiting_for is not None
    assert found.waiting_for.message.startswith("1 target of stage one in flight")
    assert found.waiting_for.since == NOW
    assert found.look_again_at == NOW + timedelta(seconds=30)


def test_a_rollout_at_a_fixed_pace_learns_nothing() -> None:
    found = plan(view(one(in_flight=1, to_apply=1), in_flight=(ready(1),)), NOW)
    assert found.pacing is None


def test_an_adaptive_rollout_learns_from_what_became_of_targets() -> None:
    pacing = Pacing(60.0, T0, NOW)
    seen = view(one(in_flight=2, to_apply=1), pacing=pacing, in_flight=(ready(1), ready(2)))
    found = plan(seen, NOW)
    assert found.pacing == replace(pacing, ended=2, seconds=(60.0, 60.0))
    assert [type(decision) for decision in found.decisions] == [MoveTarget, MoveTarget]
    paused = plan(replace(seen, state=RolloutState.PAUSED), NOW)
    assert paused.pacing == plan(seen, NOW).pacing


def test_an_adaptive_rollout_changes_its_rate_after_all_else_was_decided() -> None:
    seen = view(
        one(in_flight=1, to_apply=1, succeeded=2),
        pacing=Pacing(40.0, T0, T0),
        pressure=Pressure(lag_seconds=60.0),
        candidates=(target(1),),
    )
    found = plan(seen, NOW)
    changed = SetPace(
        was=40.0,
        per_minute=20.0,
        reason=ReasonCode.SLOWED_BY_LAG,
        message="from 40 to 20 a minute: the control plane is 60 s late",
    )
    assert found.decisions[-1] == changed
    assert [type(decision) for decision in found.decisions] == [Release, SetPace]
    assert found.pacing is not None
    assert (found.pacing.per_minute, found.pacing.since) == (20.0, NOW)


def test_moves_are_counted_in_the_stages_they_happen_in() -> None:
    moves = of_kind(
        MoveTarget,
        view(
            one(in_flight=2),
            two(in_flight=1),
            in_flight=(ready(1), timed_out(2), replace(ready(3), stage=1)),
        ),
    )
    assert after((one(in_flight=2), two(in_flight=3)), moves) == (
        one(succeeded=1, failed=1),
        two(in_flight=2, succeeded=1),
    )
