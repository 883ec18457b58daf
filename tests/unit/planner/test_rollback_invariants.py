"""The invariants where much is quarantined and rolled back."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.unit.planner.worlds.properties import often, watch
from tests.unit.planner.worlds.scenarios import QUARANTINES, ROLLBACKS, Scenario, scenarios

pytestmark = pytest.mark.timeout(900)  # thousands of worlds, on a machine that may be busy


@often
@given(scenarios(QUARANTINES))
def test_a_quarantined_revision_is_never_released(scenario: Scenario) -> None:
    watch(scenario)


@often
@given(scenarios(ROLLBACKS, on_failure=("rollback",)))
def test_every_rollback_ends_at_each_clusters_own_last_known_good(scenario: Scenario) -> None:
    watch(scenario)
