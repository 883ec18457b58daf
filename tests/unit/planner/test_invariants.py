"""The eleven invariants of design/rollouts.md as properties over random worlds.

Every world is watched for all of them but the seventh and the eighth (test_same_end), which compare
two worlds. What can happen differs from property to property, so that what breaks an invariant
happens often enough in one of them.
"""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.unit.planner.worlds.properties import often, watch
from tests.unit.planner.worlds.scenarios import Scenario, scenarios

pytestmark = pytest.mark.timeout(900)  # thousands of worlds, on a machine that may be busy


@often
@given(scenarios())
def test_every_invariant_holds_whatever_happens(scenario: Scenario) -> None:
    watch(scenario)
