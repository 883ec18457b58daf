"""The invariants where token buckets are lost, and pacers run side by side."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.unit.planner.worlds.properties import often, watch
from tests.unit.planner.worlds.scenarios import LOSSES, Scenario, scenarios

pytestmark = pytest.mark.timeout(900)  # thousands of worlds, on a machine that may be busy


@often
@given(scenarios(LOSSES))
def test_releases_in_any_window_stay_within_rate_and_burst(scenario: Scenario) -> None:
    watch(scenario)
