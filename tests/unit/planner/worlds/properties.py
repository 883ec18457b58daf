"""How often a property is tried, and how a breach is named.

ARCBRIDGE_EXAMPLES sets how many worlds each property sees (2000 by default). The worlds are the
same in each run, so that a run fails because of a change and of nothing else; ARCBRIDGE_SEED, a
number, gives others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from hypothesis import HealthCheck, seed, settings

from tests.unit.planner.worlds.playing import play
from tests.unit.planner.worlds.scenarios import Scenario

EXAMPLES = int(os.environ.get("ARCBRIDGE_EXAMPLES", "2000"))
SEED = os.environ.get("ARCBRIDGE_SEED")

Test = TypeVar("Test", bound=Callable[..., None])


def often(test: Test) -> Test:
    """Try a property on EXAMPLES worlds."""
    tried = settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=SEED is None,
        database=None,
    )(test)
    return tried if SEED is None else seed(int(SEED))(tried)


class BreachError(AssertionError):
    """Invariants of design/rollouts.md were broken: `broken` has their numbers."""

    def __init__(self, breaches: Mapping[int, list[str]]) -> None:
        super().__init__(breaches)
        self.broken = frozenset(breaches)


FIRST_BROKEN = {n: type(f"Invariant{n}BrokenError", (BreachError,), {}) for n in range(1, 15)}
"""A type for each, because Hypothesis looks for the simplest world for each type by itself."""


def watch(scenario: Scenario) -> None:
    """Play a scenario. Raises the error of the first invariant that it broke."""
    breaches = {n: found for n, found in sorted(play(scenario).breaches.items()) if found}
    if breaches:
        raise FIRST_BROKEN[min(breaches)](breaches)
