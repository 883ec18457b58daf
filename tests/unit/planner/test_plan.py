"""One look at a rollout: which decisions, in which order, and when to look again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import (
    ExtensionPhase,
    RolloutKind,
    RolloutState,
    SkipReason,
    TargetState,
)
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import (
    Decision,
    End,
    MoveTarget,
    OpenStage,
    Plan,
    Regoal,
    Release,
    Revert,
    RollBack,
    SetPace,
    Start,
)
from shared.planner.pacing import Pacing, Pressure
from shared.planner.plan import IDLE_LOOK, after, plan
from shared.planner.view import Reach, Report, RolloutView, StageView, TargetView
from shared.planner.windows import Verdict

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = T0 + timedelta(minutes=1)
ID = UUID(int=7)
SILENT = Reach(connected=False)
RESTING = Reach(not_now_until=NOW + timedelta(hours=1))
FROZEN = Verdict(ReasonCode.FREEZE_ACTIVE, "freeze x is in force")


def strategy(on_failure: str = "rollback", budget: int = 1) -> RolloutStrategy:
    stages = [
        {"name": "one", "maxTargets": 4, "maxConcurrent": 2, "soak": "0s"},
        {"name": "two", "maxConcurrent": 3, "soak": "0s"},
    ]
    return RolloutStrategy.model_validate(
        {
            "stages": stages,
            "maxFailures": budget,
            "onFailure": on_failure,
            "pace": {"perMinute": 60, "mode": "adaptive", "minPerMinute": 5},
        }
    )


def one(**counts: Any) -> StageView:
    return replace(StageView(0, "one", 4, opened_at=T0), **counts)


def two(**counts: Any) -> StageView:
    return replace(StageView(1, "two", 6), **counts)


def view(*stages: StageView, **fields: Any) -> RolloutView:
    made = RolloutView(
        ID, RolloutKind.PUBLISH, RolloutState.RUNNING, strategy(), T0, stages or (one(), two())
    )
    return replace(made, **fields)


def target(number: int = 1, state: TargetState = TargetState.TO_APPLY, **fields: Any) -> TargetView:
    made = TargetView(UUID(int=number), f"c{number}", 0, number, state, "d")
    return replace(made, **fields)


def flying(number: int, phase: ExtensionPhase | None = None, **fields: Any) -> TargetView:
    """Released a minute ago; without a phase it was not heard of."""
    said = None
    if phase is not None:
        said = Report(ID, "d", 1, phase, ReasonCode.UPGRADE_SUCCEEDED, ready_since=NOW)
    state = TargetState.RELEASED if phase is None else TargetState.APPLYING
    made = target(number, state, generation=1, released_at=T0, report=said)
    return replace(made, **fields)


def ready(number: int) -> TargetView:
    return flying(number, ExtensionPhase.READY)


def timed_out(number: int, **fields: Any) -> TargetView:
    return flying(number, released_at=NOW - timedelta(hours=1), **fields)


def decided(seen: RolloutView) -> tuple[Decision, ...]:
    return plan(seen, NOW).decisions


def of_kind(kind: type[Any], seen: RolloutView) -> list[Any]:
    return [decision for decision in decided(seen) if isinstance(decision, kind)]


@pytest.mark.parametrize(
    "state",
    [RolloutState.SUCCEEDED, RolloutState.CANCELLED, RolloutState.ROLLING_BACK],
)
def test_nothing_is_decided_about_a_rollout_that_is_over_or_being_taken_back(
    state: RolloutState,
) -> None:
    seen = view(one(to_apply=4), state=state, in_flight=(ready(1),), candidates=(target(2),))
    assert plan(seen, NOW) == Plan((), None, None)


def test_a_pending_rollout_starts_opens_its_first_stage_and_releases_at_the_next_look() -> None:
    seen = view(one(to_apply=4, opened_at=None), two(to_apply=6), state=RolloutState.PENDING)
    assert decided(replace(seen, candidates=(target(1),))) == (
        Start(reason=ReasonCode.PROGRESSING, message="the rollout starts"),
        OpenStage(
            stage=0, reason=ReasonCode.STAGE_OPENED, message="stage one with 4 targets is open"
        ),
    )


def test_targets_are_released_in_order_as_far_as_their_stage_has_places() -> None:
    waiting = tuple(target(n) for n in (3, 1, 2))
    seen = view(one(to_apply=3, succeeded=1), candidates=waiting)
    assert decided(seen) == (
        Release(
            stage=0,
            clusters=(UUID(int=3), UUID(int=1)),
            reason=ReasonCode.PROGRESSING,
            message="2 targets of stage one may be released",
        ),
    )
    in_flight = replace(seen, stages=(one(to_apply=3, in_flight=1, succeeded=1),))
    assert [d.clusters for d in of_kind(Release, in_flight)] == [(UUID(int=3),)]
    for taken in (2, 3):
        full = replace(seen, stages=(one(to_apply=3, in_flight=taken, succeeded=1),))
        assert decided(full) == (), "no place, even where limits were narrowed meanwhile"


def test_a_place_that_becomes_free_in_this_look_is_given_away_in_it() -> None:
    seen = view(
        one(to_apply=1, in_flight=2, succeeded=1),
        in_flight=(ready(1),),
        candidates=(target(2),),
    )
    assert [type(decision) for decision in decided(seen)] == [MoveTarget, Release]


def test_stages_that_are_open_at_once_release_their_own_targets() -> None:
    late = one(to_apply=1, succeeded=3, passed_at=T0)
    seen = view(
        late,
        two(to_apply=6, opened_at=T0),
        candidates=(target(1, stage=1), target(2), target(3, stage=1)),
    )
    assert [(d.stage, d.clusters) for d in of_kind(Release, seen)] == [
        (0, (UUID(int=2),)),
        (1, (UUID(int=1), UUID(int=3))),
    ]


def test_a_closed_stage_releases_nothing_and_holds_up_no_open_one() -> None:
    stages = (one(to_apply=1, opened_at=None, passed_at=T0), two(to_apply=1, opened_at=T0))
    approval = {"name": "one", "maxTargets": 4, "approval": "required"}
    asks = RolloutStrategy.model_validate({"stages": [approval, {"name": "two"}]})
    seen = view(*stages, strategy=asks, candidates=(target(1), target(2, stage=1)))
    assert [(d.stage, d.clusters) for d in of_kind(Release, seen)] == [(1, (UUID(int=2),))]


def test_a_later_stage_keeps_to_the_narrowest_limit_until_something_succeeded() -> None:
    waiting = tuple(target(n, stage=1) for n in range(1, 5))
    skipped = one(skipped=4, passed_at=T0)
    seen = view(skipped, two(to_apply=6, opened_at=T0), candidates=waiting)
    assert len(of_kind(Release, seen)[0].clusters) == 2
    back = replace(seen, kind=RolloutKind.ROLLBACK)
    assert len(of_kind(Release, back)[0].clusters) == 3


@pytest.mark.parametrize(
    "taken",
    [{"state": TargetState.RELEASED}, {"state": TargetState.SKIPPED}],
    ids=["another pacer released it", "it was skipped meanwhile"],
)
def test_only_what_waits_for_release_is_released(taken: dict[str, Any]) -> None:
    assert decided(view(one(to_apply=1), candidates=(target(1, **taken),))) == ()


def test_a_goal_that_was_quarantined_is_looked_for_again_and_not_released() -> None:
    doubtful = target(1, goal_quarantined=True)
    seen = view(
        one(to_apply=4),
        kind=RolloutKind.ROLLBACK,
        candidates=(doubtful, target(2), target(3)),
    )
    assert decided(seen) == (
        Regoal(
            cluster_id=UUID(int=1),
            reason=ReasonCode.SPEC_QUARANTINED,
            message="the revision c1 was to go back to is quarantined",
        ),
        Release(
            stage=0,
            clusters=(UUID(int=2),),
            reason=ReasonCode.PROGRESSING,
            message="1 targets of stage one may be released",
        ),
    )
    assert [type(d) for d in decided(replace(seen, candidates=(doubtful,)))] == [Regoal]


def test_a_freeze_holds_releases_but_no_gates_and_no_reports() -> None:
    seen = view(
        one(to_apply=1, in_flight=1),
        freeze=FROZEN,
        in_flight=(ready(1),),
        candidates=(target(2),),
    )
    assert [type(decision) for decision in decided(seen)] == [MoveTarget]
    opens = view(one(to_apply=1, opened_at=None), freeze=FROZEN)
    assert [type(decision) for decision in decided(opens)] == [OpenStage]


def test_behind_a_rollback_targets_are_judged_and_none_is_released() -> None:
    seen = view(
        one(to_apply=2, in_flight=1),
        behind=UUID(int=9),
        in_flight=(ready(1),),
        candidates=(target(2),),
        unreachable=(target(3, reach=SILENT),),
    )
    moved = [(move.cluster, move.becomes) for move in of_kind(MoveTarget, seen)]
    assert moved == [("c1", TargetState.SUCCEEDED), ("c3", TargetState.SKIPPED)]
    assert len(decided(seen)) == 2


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


def test_a_failure_over_the_budget_stops_all_before_anything_more_is_released() -> None:
    seen = view(
        one(to_apply=1, in_flight=2, failed=1),
        in_flight=(ready(1), timed_out(2)),
        candidates=(target(3),),
    )
    assert [type(decision) for decision in decided(seen)] == [MoveTarget, MoveTarget, RollBack]


def reverts(seen: RolloutView) -> list[str]:
    found = of_kind(Revert, seen)
    for revert in found:
        cluster = f"c{revert.cluster_id.int}"
        assert revert.reason is ReasonCode.TARGET_REVERTED
        assert revert.message == f"{cluster} goes back to its own last known good revision"
    return [f"c{revert.cluster_id.int}" for revert in found]


FAILED = (target(8, TargetState.FAILED), target(9, TargetState.FAILED, goal_absent=True))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (RolloutKind.PUBLISH, ["c8", "c2"]),
        (RolloutKind.PLACEMENT, ["c8", "c2"]),
        (RolloutKind.DELETE, []),
        (RolloutKind.ROLLBACK, []),
    ],
)
def test_a_failure_within_the_budget_sends_that_cluster_alone_back(
    kind: RolloutKind, expected: list[str]
) -> None:
    seen = view(
        one(in_flight=3, succeeded=1),
        two(to_apply=6, failed=1, opened_at=T0),
        kind=kind,
        in_flight=(ready(1), timed_out(2)),
        unreverted=FAILED,
    )
    assert reverts(seen) == expected


def test_a_removal_that_failed_has_nothing_to_go_back_to() -> None:
    seen = view(
        one(in_flight=2, succeeded=2),
        kind=RolloutKind.PLACEMENT,
        in_flight=(timed_out(1, goal_absent=True),),
    )
    assert reverts(seen) == []


def test_over_the_budget_nobody_goes_back_alone_until_a_person_decides() -> None:
    seen = view(
        one(failed=2, to_apply=2),
        two(failed=1, opened_at=T0),
        state=RolloutState.PAUSED,
        strategy=strategy("pause"),
        unreverted=(target(1, TargetState.FAILED), target(2, TargetState.FAILED, stage=1)),
    )
    assert reverts(seen) == ["c2"]


def test_a_rollout_that_goes_on_whatever_fails_sends_every_failed_cluster_back() -> None:
    seen = view(
        one(failed=2, to_apply=2),
        strategy=strategy("continue"),
        unreverted=(target(1, TargetState.FAILED),),
    )
    assert reverts(seen) == ["c1"]


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
    assert found.look_again_at == NOW + IDLE_LOOK


def test_a_rollout_says_what_it_waits_for_after_this_look() -> None:
    seen = view(one(to_apply=1, in_flight=2, succeeded=1), in_flight=(ready(1),))
    found = plan(replace(seen, candidates=(target(9),)), NOW)
    assert found.waiting_for is not None
    assert found.waiting_for.message.startswith("1 targets of stage one in flight")
    assert found.waiting_for.since == NOW
    assert found.look_again_at == NOW + IDLE_LOOK


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
