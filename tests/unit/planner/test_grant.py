"""Tokens ahead of a look: only after a full batch, and never more than the counters let out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import PassStage, Release
from shared.planner.grant import ahead, granted, wanted
from shared.planner.view import RolloutView, StageView, TargetView

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = [{"name": "all", "maxConcurrent": "100%", "soak": "0s"}]
SOME = [{"name": "some", "maxConcurrent": 12, "soak": "0s"}]


def view(stages: object, candidates: int, **stage: int) -> RolloutView:
    return RolloutView(
        UUID(int=1),
        RolloutKind.PUBLISH,
        RolloutState.RUNNING,
        RolloutStrategy.model_validate({"stages": stages}),
        NOW,
        (StageView(0, "all", 100, succeeded=1, opened_at=NOW, **stage),),
        candidates=tuple(
            TargetView(UUID(int=n), f"c{n}", 0, n, TargetState.TO_APPLY, "d")
            for n in range(candidates)
        ),
    )


def release(count: int) -> list[Release]:
    clusters = tuple(UUID(int=n) for n in range(count))
    return [Release(stage=0, clusters=clusters, reason=ReasonCode.PROGRESSING, message="")]


@pytest.mark.parametrize(
    ("seen", "released", "expected"),
    [
        (view(ALL, 10, to_apply=99), 10, 10),
        (view(ALL, 10, to_apply=14), 10, 4),
        (view(ALL, 10, to_apply=99), 0, 0),
        (view(ALL, 9, to_apply=99), 9, 0),
        (view(SOME, 10, to_apply=99), 10, 2),
        (view(SOME, 10, to_apply=88, in_flight=11), 1, 0),
    ],
    ids=[
        "another batch",
        "the rest",
        "nothing was released",
        "there were no more",
        "as many as have a place",
        "all places are taken",
    ],
)
def test_tokens_are_taken_ahead(seen: RolloutView, released: int, expected: int) -> None:
    assert ahead(seen, release(released), batch=10) == expected


PASSED = PassStage(stage=0, reason=ReasonCode.STAGE_PASSED, message="")


@pytest.mark.parametrize(
    ("tokens", "first", "second"), [(0, 0, 0), (1, 1, 0), (3, 2, 1), (4, 2, 2), (9, 2, 2)]
)
def test_tokens_go_to_the_first_releases_and_other_decisions_stand(
    tokens: int, first: int, second: int
) -> None:
    decisions = [*release(2), PASSED, *release(2)]
    kept = granted(decisions, tokens)
    assert PASSED in kept
    assert [len(d.clusters) for d in kept if isinstance(d, Release)] == [
        count for count in (first, second) if count
    ]
    assert wanted(decisions) == 4
    assert wanted(kept) == first + second


def test_the_front_of_a_release_is_kept() -> None:
    (kept,) = granted(release(3), 2)
    assert isinstance(kept, Release)
    assert kept.clusters == (UUID(int=0), UUID(int=1))


def two_stages(kind: RolloutKind, first: StageView, second: StageView) -> RolloutView:
    stages = [{"name": "one", "maxConcurrent": 3}, {"name": "some", "maxConcurrent": 12}]
    return replace(
        view(ALL, 20),
        kind=kind,
        strategy=RolloutStrategy.model_validate({"stages": stages}),
        stages=(first, second),
    )


def test_tokens_are_taken_ahead_for_every_stage_with_a_place() -> None:
    has_two = StageView(0, "one", 50, to_apply=50, in_flight=1, succeeded=1, opened_at=NOW)
    has_eight = StageView(1, "some", 50, to_apply=50, in_flight=4, opened_at=NOW)
    is_full = replace(has_eight, in_flight=12)
    assert ahead(two_stages(RolloutKind.PUBLISH, has_two, has_eight), release(1), 20) == 9
    assert ahead(two_stages(RolloutKind.PUBLISH, has_two, is_full), release(1), 20) == 1


def test_a_rollbacks_later_stage_has_all_its_places_at_once() -> None:
    skipped = StageView(0, "one", 5, skipped=5, opened_at=NOW)
    waiting = StageView(1, "some", 50, to_apply=50, opened_at=NOW)
    assert ahead(two_stages(RolloutKind.ROLLBACK, skipped, waiting), release(1), 20) == 11
    assert ahead(two_stages(RolloutKind.PUBLISH, skipped, waiting), release(1), 20) == 2
