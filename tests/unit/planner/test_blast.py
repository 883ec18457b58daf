"""How many clusters a revision that fails everywhere can reach."""

from __future__ import annotations

import pytest

from shared.contract.strategy import RolloutStrategy
from shared.planner.blast import of_everywhere, of_stage


def strategy(on_failure: str = "rollback", budget: int | str = 0) -> RolloutStrategy:
    stages = [
        {"name": "canary", "maxTargets": 5, "maxConcurrent": 2},
        {"name": "broad", "maxConcurrent": 10, "maxFailures": 4},
    ]
    return RolloutStrategy.model_validate(
        {"stages": stages, "maxFailures": budget, "onFailure": on_failure}
    )


@pytest.mark.parametrize(
    ("budget", "totals", "reached"),
    [
        (0, (5, 95), 2),
        (1, (5, 95), 4),
        (0, (1, 95), 2),
        (1, (1, 95), 4),
        (1, (0, 95), 14),
        (0, (5, 1), 2),
        (3, (2, 95), 7),
    ],
    ids=[
        "the canary's places",
        "each failure within the budget frees one more",
        "a canary of one passes nothing on by itself",
        "one whose failures are within its budget does, as narrow as it was",
        "without a canary the broad stage has its own limits",
        "a stage has no more than its targets",
        "what failed in the stages before adds up",
    ],
)
def test_a_revision_that_fails_everywhere_reaches_few(
    budget: int, totals: tuple[int, int], reached: int
) -> None:
    assert of_everywhere(strategy(budget=budget), totals) == reached


def test_nothing_stops_a_rollout_that_goes_on_whatever_fails() -> None:
    assert of_everywhere(strategy("continue"), (5, 95)) == 100
    assert of_stage(strategy("continue"), (5, 95), 0) == 100


def test_a_stage_has_those_before_it_its_places_and_its_budget() -> None:
    assert of_stage(strategy(), (5, 95), 0) == 2
    assert of_stage(strategy(budget=1), (5, 95), 0) == 3
    assert of_stage(strategy(), (5, 95), 1) == 5 + 10 + 4
    assert of_stage(strategy(), (5, 7), 1) == 5 + 7


def test_what_failed_in_every_stage_before_adds_up() -> None:
    stages = [{"name": name, "maxConcurrent": 1, "maxTargets": 2} for name in ("a", "b")]
    three = RolloutStrategy.model_validate(
        {"stages": [*stages, {"name": "c", "maxConcurrent": 9}], "maxFailures": 2}
    )
    assert of_everywhere(three, (2, 2, 50)) == 2 + 2 + (1 + 2)


def test_a_stages_percentages_are_of_its_own_targets() -> None:
    half = [{"name": "a", "maxConcurrent": 1}, {"name": "b", "maxConcurrent": "50%"}]
    strategy = RolloutStrategy.model_validate({"stages": half, "maxFailures": "10%"})
    assert of_stage(strategy, (5, 40), 1) == 5 + 20 + 4


@pytest.mark.parametrize("totals", [(5,), (5, 95, 1)])
def test_each_stage_has_to_have_its_number_of_targets(totals: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="argument 2 is"):
        of_everywhere(strategy(), totals)


def test_a_percentage_counts_as_far_as_failures_alone_earn_it() -> None:
    """All 1,000 places fail: 25 are borne, and then one more for its share of those 25."""
    assert of_stage(RolloutStrategy(), (1, 9_999), 1) == 1 + 1_000 + 26
    assert of_stage(RolloutStrategy(), (1, 99), 1) == 1 + 10 + 2
