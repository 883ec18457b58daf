"""How many targets a limit stands for, and which limit holds."""

from __future__ import annotations

import pytest

from shared.contract.states import RolloutKind
from shared.contract.strategy import RolloutStrategy
from shared.planner.limits import (
    Limits,
    borne,
    budget,
    count_of,
    declared,
    is_over_budget,
    limits,
)
from shared.planner.view import StageView

PUBLISH, ROLLBACK = RolloutKind.PUBLISH, RolloutKind.ROLLBACK
STRATEGY = RolloutStrategy.model_validate(
    {
        "stages": [
            {"name": "canary", "maxTargets": 4, "maxConcurrent": 2, "maxFailures": 1},
            {"name": "broad", "maxConcurrent": "50%"},
        ],
        "maxFailures": "10%",
    }
)


def stages(canary: int = 4, **broad: int) -> list[StageView]:
    return [StageView(0, "canary", canary), StageView(1, "broad", 40, **broad)]


@pytest.mark.parametrize(
    ("limit", "total", "count"),
    [
        ("3", 25, 3),
        ("0", 25, 0),
        ("10%", 25, 3),
        ("10%", 4, 1),
        ("0%", 25, 0),
        ("100%", 7, 7),
        ("50%", 5_000, 2_500),
    ],
)
def test_a_percentage_rounds_up_to_at_least_one_and_nothing_stays_nothing(
    limit: str, total: int, count: int
) -> None:
    assert count_of(limit, total) == count


def test_a_stages_own_budget_goes_before_the_strategys() -> None:
    assert declared(STRATEGY, 0, 4) == Limits(concurrent=2, failures=1)
    assert declared(STRATEGY, 1, 40) == Limits(concurrent=20, failures=4)


def test_an_empty_stage_still_has_one_place() -> None:
    assert declared(STRATEGY, 1, 0) == Limits(concurrent=1, failures=1)


def test_a_later_stage_keeps_to_the_narrowest_limits_until_something_succeeded() -> None:
    assert limits(PUBLISH, STRATEGY, stages(), 1) == Limits(concurrent=2, failures=1)
    assert limits(PUBLISH, STRATEGY, stages(succeeded=1), 1) == Limits(20, 4)


def test_a_stage_without_targets_narrows_nothing() -> None:
    assert limits(PUBLISH, STRATEGY, stages(canary=0), 1) == Limits(20, 4)


def test_a_rollback_is_not_narrowed() -> None:
    assert limits(ROLLBACK, STRATEGY, stages(), 1) == Limits(20, 4)
    assert budget(ROLLBACK, STRATEGY, stages(), 1) == 4
    assert budget(PUBLISH, STRATEGY, stages(), 1) == 1


@pytest.mark.parametrize(
    ("failed", "forgiven", "is_over"), [(1, 0, False), (2, 0, True), (2, 1, False)]
)
def test_the_budget_is_exceeded_by_one_failure_more_that_nobody_forgave(
    failed: int, forgiven: int, is_over: bool
) -> None:
    found = stages(failed=failed, forgiven=forgiven)
    assert is_over_budget(PUBLISH, STRATEGY, found, 1) is is_over
    assert not is_over_budget(ROLLBACK, STRATEGY, found, 1)


PERCENT = RolloutStrategy.model_validate(
    {"stages": [{"name": "all"}, {"name": "rest", "maxFailures": "0%"}], "maxFailures": "2%"}
)


@pytest.mark.parametrize(
    ("total", "released", "bears"),
    [
        (10_000, 0, 6),
        (10_000, 50, 6),
        (10_000, 51, 7),
        (10_000, 1_000, 25),
        (10_000, 10_000, 200),
        (250, 1, 5),
        (100, 1, 2),
        (4, 1, 1),
    ],
)
def test_a_percentage_is_earned_by_what_was_released_and_small_stages_have_it_at_once(
    total: int, released: int, bears: int
) -> None:
    whole = declared(PERCENT, 0, total).failures
    assert borne(PERCENT, 0, whole, released) == bears


def test_a_budget_in_numbers_holds_from_the_start() -> None:
    assert borne(STRATEGY, 0, 1, released=0) == 1


def test_no_percent_bears_no_failure_however_much_was_released() -> None:
    assert borne(PERCENT, 1, 0, released=500) == 0


@pytest.mark.parametrize(("succeeded", "is_over"), [(43, True), (44, False)])
def test_what_failed_and_what_is_in_flight_counts_as_released(
    succeeded: int, is_over: bool
) -> None:
    """Seven of 50 are one too many, and of 51 not; what was skipped proves nothing."""
    stage = StageView(0, "all", 10_000, failed=7, in_flight=0, succeeded=succeeded, skipped=900)
    assert is_over_budget(PUBLISH, PERCENT, [stage], 0) is is_over
    flying = StageView(0, "all", 10_000, failed=7, in_flight=succeeded, skipped=900)
    assert is_over_budget(PUBLISH, PERCENT, [flying], 0) is is_over
    assert budget(PUBLISH, PERCENT, [flying], 0) == (6 if is_over else 7)
