"""The eleven invariants of design/rollouts.md, each a property over random worlds.

ARCBRIDGE_EXAMPLES sets how many worlds each property sees.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings

from tests.unit.planner.scenarios import (
    CRASHES,
    LOSSES,
    NOISE,
    QUARANTINES,
    ROLLBACKS,
    Scenario,
    play,
    scenarios,
)

EXAMPLES = int(os.environ.get("ARCBRIDGE_EXAMPLES", "60"))
often = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def breaches(scenario: Scenario, invariant: int) -> list[str]:
    return play(scenario).breaches[invariant]


@often
@given(scenarios())
def test_at_most_max_concurrent_targets_of_a_stage_are_in_flight(scenario: Scenario) -> None:
    assert not breaches(scenario, 1)


@often
@given(scenarios())
def test_no_stage_is_released_before_the_stage_before_it_passed(scenario: Scenario) -> None:
    assert not breaches(scenario, 2)


@often
@given(scenarios(on_failure=("rollback", "pause")))
def test_nothing_is_released_forward_once_the_budget_is_exceeded(scenario: Scenario) -> None:
    assert not breaches(scenario, 3)


@often
@given(scenarios())
def test_only_a_report_of_this_very_release_counts(scenario: Scenario) -> None:
    assert not breaches(scenario, 4)


@often
@given(scenarios() | scenarios(QUARANTINES))
def test_a_quarantined_revision_is_never_released(scenario: Scenario) -> None:
    assert not breaches(scenario, 5)


@often
@given(scenarios(on_failure=("rollback",)) | scenarios(ROLLBACKS))
def test_every_rollback_ends_at_each_clusters_own_last_known_good(scenario: Scenario) -> None:
    assert not breaches(scenario, 6)


@often
@given(scenarios(NOISE, on_failure=("rollback", "continue"), mute=False, approvals=False))
def test_duplicated_and_reordered_reports_do_not_change_the_end(scenario: Scenario) -> None:
    undisturbed = play(scenario, skip=NOISE).signature()
    assert play(scenario).signature() == undisturbed


@often
@given(scenarios(CRASHES, on_failure=("rollback", "continue"), mute=False, approvals=False))
def test_a_crash_between_any_two_commits_does_not_change_the_end(scenario: Scenario) -> None:
    assert play(scenario).signature() == play(scenario, skip=("crash",)).signature()


@often
@given(scenarios() | scenarios(LOSSES))
def test_releases_in_any_window_stay_within_rate_and_burst(scenario: Scenario) -> None:
    assert not breaches(scenario, 9)


@often
@given(scenarios())
def test_two_pacers_at_once_release_no_target_twice(scenario: Scenario) -> None:
    assert not breaches(scenario, 10)


@often
@given(scenarios())
def test_a_rollout_makes_progress_or_says_why_not(scenario: Scenario) -> None:
    assert not breaches(scenario, 11)


PROPERTIES = {
    1: test_at_most_max_concurrent_targets_of_a_stage_are_in_flight,
    2: test_no_stage_is_released_before_the_stage_before_it_passed,
    3: test_nothing_is_released_forward_once_the_budget_is_exceeded,
    4: test_only_a_report_of_this_very_release_counts,
    5: test_a_quarantined_revision_is_never_released,
    6: test_every_rollback_ends_at_each_clusters_own_last_known_good,
    7: test_duplicated_and_reordered_reports_do_not_change_the_end,
    8: test_a_crash_between_any_two_commits_does_not_change_the_end,
    9: test_releases_in_any_window_stay_within_rate_and_burst,
    10: test_two_pacers_at_once_release_no_target_twice,
    11: test_a_rollout_makes_progress_or_says_why_not,
}


def test_there_is_a_property_for_each_invariant() -> None:
    assert sorted(PROPERTIES) == list(range(1, 12))
