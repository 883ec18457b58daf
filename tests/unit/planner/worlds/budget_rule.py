"""What a stage may have in flight and may bear of failures: the rule, written a second time.

Taken from docs/rollouts.md and ADR 0015, not from the planner: the watches judge by it, so nothing
here may come from `shared.planner.limits`. Fractions, because a rule in percent has no rounding
errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from shared.contract.states import TargetState
from shared.contract.strategy import RolloutStrategy

BORNE_FROM_THE_START = 5
"""Failures that a budget in percent bears beside the share of what was released."""


@dataclass(frozen=True)
class Counted:
    """One stage's targets, counted by who judges; `released` without those skipped after it."""

    total: int
    released: int = 0
    succeeded: int = 0


def counted(total: int, states: Iterable[TargetState]) -> Counted:
    """A stage by the states of its targets."""
    seen = list(states)
    waiting = (TargetState.TO_APPLY, TargetState.SKIPPED)
    released = sum(state not in waiting for state in seen)
    return Counted(total, released, sum(state is TargetState.SUCCEEDED for state in seen))


def places(strategy: RolloutStrategy, stages: Sequence[Counted], index: int) -> int:
    """How many targets of the stage may be in flight; of a rollback see `own_places`."""
    return min(own_places(strategy, at, stages[at].total) for at in _narrowing(stages, index))


def own_places(strategy: RolloutStrategy, index: int, total: int) -> int:
    """What the stage says for itself, which is all that holds for a rollback: at least one."""
    return max(1, _share(strategy.stages[index].max_concurrent, total))


def borne(strategy: RolloutStrategy, stages: Sequence[Counted], index: int) -> int:
    """How many targets of the stage may have failed before nothing more is released."""
    whole = min(
        _share(_max_failures(strategy, at), stages[at].total) for at in _narrowing(stages, index)
    )
    limit = _max_failures(strategy, index)
    if "%" not in limit:
        return whole
    return min(whole, BORNE_FROM_THE_START + _share(limit, stages[index].released))


def _narrowing(stages: Sequence[Counted], index: int) -> list[int]:
    """The stages whose limits hold: those before it as well, while nothing has succeeded."""
    if any(stage.succeeded for stage in stages):
        return [index]
    return [*(at for at in range(index) if stages[at].total), index]


def _max_failures(strategy: RolloutStrategy, index: int) -> str:
    own = strategy.stages[index].max_failures
    return own if own is not None else strategy.max_failures


def _share(limit: str, of: int) -> int:
    """A number is itself; a percentage rounds up, to at least one unless it is 0%."""
    if "%" not in limit:
        return int(limit)
    share = Fraction(int(limit.removesuffix("%")), 100)
    return max(1, ceil(share * of)) if share else 0
