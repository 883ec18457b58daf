"""What a look releases: how many, of which stage, in which order, and what it holds back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import MoveTarget, OpenStage, Regoal, Release, RollBack, Start
from shared.planner.view import Found, Lack
from tests.unit.planner.looks import (
    FROZEN,
    SILENT,
    T0,
    decided,
    of_kind,
    one,
    ready,
    target,
    timed_out,
    two,
    view,
)


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
            message="1 target of stage one may be released",
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


def test_a_failure_over_the_budget_stops_all_before_anything_more_is_released() -> None:
    seen = view(
        one(to_apply=1, in_flight=2, failed=1),
        in_flight=(ready(1), timed_out(2)),
        candidates=(target(3),),
    )
    assert [type(decision) for decision in decided(seen)] == [MoveTarget, MoveTarget, RollBack]


def test_a_target_that_lacks_something_is_not_released_and_lets_others_pass() -> None:
    lacking = target(1, lacks=Lack("db", Found.ABSENT))
    seen = view(one(to_apply=2), candidates=(lacking, target(2)), lacking=(lacking,))
    assert [d.clusters for d in of_kind(Release, seen)] == [(UUID(int=2),)]
