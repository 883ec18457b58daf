"""Random scenarios: a fleet, a strategy, and a list of things that happen in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st

from shared.contract.strategy import RolloutStrategy
from tests.unit.planner.worlds.fleet import Cluster
from tests.unit.planner.worlds.world import World

Step = tuple[str, int, int]
T = TypeVar("T")


@dataclass(frozen=True)
class Scenario:
    """Revision 1 goes out undisturbed, then revision 2 while `steps` happen, then all settles."""

    fleet: tuple[tuple[frozenset[int], frozenset[int]], ...]
    """For each cluster the revisions that fail there, and those it never finishes."""
    strategy: RolloutStrategy
    steps: tuple[Step, ...]

    def world(self) -> World:
        return World(
            [
                Cluster(UUID(int=1000 + n), f"c{n}", bad, mute)
                for n, (bad, mute) in enumerate(self.fleet)
            ]
        )


COUNTS = (1, 2, "50%", "100%")
BUDGETS = (0, 0, 1, "50%")
PACES = (
    {"perMinute": 6000, "burst": 100},
    {"perMinute": 60, "burst": 2},
    {"perMinute": 6, "burst": 1},
    {"perMinute": 60, "burst": 2, "mode": "adaptive", "minPerMinute": 4},
)
REVISIONS = ((), (), (), (2,), (2,), (2,), (2,), (3,), (3,), (2, 3), (2, 3), (1, 2))
"""That fail on a cluster. Revision 1 does on few: where it is taken from all, nothing is good."""
LENGTHS = (6, 10, 16, 24)

WILD = (
    "act", "act", "act", "deliver", "deliver", "deliver", "again", "stale", "reconnect", "offline",
    "online", "not_now", "gone", "wait", "wait", "tick", "tick", "two", "crash", "pause", "resume",
    "approve", "quarantine", "rollback", "publish", "lose_tokens", "sick", "recover", "freeze",
    "lag",
)  # fmt: skip
NOISE = ("act", "act", "deliver", "deliver", "again", "tick")
QUARANTINES = ("act", "deliver", "tick", "tick", "two", "wait", "quarantine", "rollback", "publish")
ROLLBACKS = (
    "act", "act", "act", "deliver", "deliver", "deliver", "tick", "tick", "tick", "wait", "two",
    "rollback", "doubt", "doubt", "quarantine", "offline", "online", "gone",
)  # fmt: skip
LOSSES = (
    "act", "act", "deliver", "deliver", "tick", "tick", "tick", "lose_tokens", "lose_tokens", "lag",
    "wait", "two", "crash",
)  # fmt: skip
CRASHES = ("act", "act", "deliver", "deliver", "tick", "crash", "crash")


class Drawn:
    """Random bytes, spent one choice after the other; zeros are the simplest choices.

    A scenario is drawn as one string of bytes. Drawn choice by choice it costs more than playing
    it, and Hypothesis repeats parts of what it drew before: most histories were short and alike.
    """

    def __init__(self, drawn: bytes) -> None:
        self._left = iter(drawn)

    def pick(self, options: Sequence[T]) -> T:
        return options[next(self._left) % len(options)]

    def step(self, kinds: tuple[str, ...]) -> Step | None:
        """A zero is no step, so that fewer steps are simpler."""
        kind, numbers = next(self._left), next(self._left)
        return (kinds[(kind - 1) % len(kinds)], numbers % 6, numbers // 6 % 6) if kind else None


SIZE = 40 + 2 * max(LENGTHS)
"""Bytes that are enough for any scenario."""


def scenarios(
    kinds: tuple[str, ...] = WILD,
    *,
    on_failure: tuple[str, ...] = ("rollback", "rollback", "pause", "continue"),
    mute: bool = True,
    approvals: bool = True,
) -> st.SearchStrategy[Scenario]:
    """Scenarios whose steps are of these kinds, on two to five clusters."""
    silent = ((), (2,)) if mute else ((),)

    def scenario(drawn: bytes) -> Scenario:
        draw = Drawn(drawn)
        size = draw.pick((2, 3, 4, 5))
        fleet = [(draw.pick(REVISIONS), draw.pick(silent)) for _ in range(size)]
        strategy = _strategy(draw, on_failure, approvals)
        steps = [draw.step(kinds) for _ in range(draw.pick(LENGTHS))]
        return Scenario(
            tuple((frozenset(bad), frozenset(still)) for bad, still in fleet),
            strategy,
            tuple(step for step in steps if step is not None),
        )

    return st.binary(min_size=SIZE, max_size=SIZE).map(scenario)


def _strategy(draw: Drawn, on_failure: tuple[str, ...], approvals: bool) -> RolloutStrategy:
    """One to three stages, all but the last for one or two clusters."""
    stages: list[dict[str, Any]] = []
    capped = draw.pick(range(3))
    for number in range(capped + 1):
        stage: dict[str, Any] = {
            "name": f"s{number}",
            "maxConcurrent": draw.pick(COUNTS),
            "soak": draw.pick(("0s", "1m")),
            "approval": draw.pick(("none", "none", "required") if approvals else ("none",)),
        }
        if number < capped:
            stage["maxTargets"] = draw.pick((1, 2))
        stages.append(stage)
    return RolloutStrategy.model_validate(
        {
            "stages": stages,
            "maxFailures": draw.pick(BUDGETS),
            "onFailure": draw.pick(on_failure),
            "pace": draw.pick(PACES),
            "progressDeadline": "3m",
            "offline": {"after": "2m"},
        }
    )


def at_once(strategy: RolloutStrategy) -> RolloutStrategy:
    """The same budget and way to fail, but one stage as fast as it goes."""
    quick = {"stages": [{"name": "all", "maxConcurrent": "100%", "soak": "0s"}]}
    return RolloutStrategy.model_validate(
        quick
        | {
            "maxFailures": strategy.max_failures,
            "onFailure": strategy.on_failure,
            "pace": {"perMinute": 6000, "burst": 100},
        }
    )
