"""Faults that must not show in the end: each world is played with and without them."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.unit.planner.worlds.playing import play
from tests.unit.planner.worlds.properties import often
from tests.unit.planner.worlds.scenarios import CRASHES, NOISE, Scenario, scenarios

pytestmark = pytest.mark.timeout(900)  # thousands of worlds, on a machine that may be busy

DECIDED = ("rollback", "continue")


@often
@given(scenarios(NOISE, on_failure=DECIDED, mute=False, approvals=False))
def test_duplicated_and_reordered_reports_do_not_change_the_end(scenario: Scenario) -> None:
    undisturbed = play(scenario, skip=NOISE).signature()
    assert play(scenario).signature() == undisturbed


@often
@given(scenarios(CRASHES, on_failure=DECIDED, mute=False, approvals=False))
def test_a_crash_between_any_two_commits_does_not_change_the_end(scenario: Scenario) -> None:
    assert play(scenario).signature() == play(scenario, skip=("crash",)).signature()
