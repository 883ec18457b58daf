"""How one agent behaves, drawn from the scenario's seed and the agent's number. Pure.

The same seed gives the same fleet, however many processes it is spread over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from dev.fleet.scenario import Nature, Scenario, Spread

REGIONS = ("eu", "us", "ap")


@dataclass(frozen=True)
class Character:
    """One agent's behaviour."""

    name: str
    labels: dict[str, str]
    version: str
    apply_seconds: float
    pull_seconds: float
    fails: bool
    skew_seconds: float
    flaps: bool
    broken: frozenset[int]
    """Revisions that never become ready."""

    def becomes_ready(self, revision: int) -> bool:
        """Whether this revision runs here."""
        return revision not in self.broken and not self.fails


def character(scenario: Scenario, number: int) -> Character:
    """The agent with this number; number 0 is the canary."""
    random = Random(f"{scenario.seed}/{number}")  # noqa: S311 - a fleet, no secret
    nature = scenario.nature
    return Character(
        name=f"fleet-{number:05}",
        labels={
            "ring": "canary" if number == 0 else "broad",
            "region": REGIONS[number % len(REGIONS)],
        },
        version=_version(nature, random),
        apply_seconds=_time(nature.apply, random),
        pull_seconds=_time(nature.pull, random),
        fails=number > 0 and random.random() < nature.failures,
        skew_seconds=random.uniform(*nature.clock_skew_seconds),
        flaps=random.random() < nature.flapping,
        broken=frozenset(scenario.broken_revisions),
    )


def leaves(scenario: Scenario, number: int, fraction: float) -> bool:
    """Whether this agent is among those that go offline; never the canary."""
    if number == 0:
        return False
    return Random(f"{scenario.seed}/{number}/offline").random() < fraction  # noqa: S311 - as above


def _time(spread: Spread, random: Random) -> float:
    if spread.median_seconds == 0:
        return 0.0
    return random.lognormvariate(math.log(spread.median_seconds), spread.sigma)


def _version(nature: Nature, random: Random) -> str:
    return random.choices(list(nature.versions), list(nature.versions.values()))[0]
