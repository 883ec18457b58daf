"""Tokens ahead of a look: only after a full batch, and never more than the counters let out."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import Release
from shared.planner.grant import ahead
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
