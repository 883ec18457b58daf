"""How many targets of a stage may be in flight, and how many may fail.

A percentage is of the stage's targets and rounds up to at least one; nothing here ever answers
"no limit". Of a budget in percent only what the released targets have earned holds by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.contract.states import RolloutKind
from shared.contract.strategy import RolloutStrategy
from shared.planner.view import StageView

EARLY: Final = 5
"""Failures that a budget in percent bears beyond its share of the targets released so far."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one whole stage, as counts."""

    concurrent: int
    failures: int


def count_of(limit: str, total: int) -> int:
    """`3` is 3; `10%` of 25 is 3; `10%` of 4 is 1; `0%` is 0."""
    if not limit.endswith("%"):
        return int(limit)
    percent = int(limit[:-1])
    return max(1, -(-total * percent // 100)) if percent else 0


def declared(strategy: RolloutStrategy, index: int, total: int) -> Limits:
    """What the strategy says for a stage of `total` targets."""
    concurrent = strategy.stages[index].max_concurrent
    return Limits(
        max(1, count_of(concurrent, total)), count_of(_max_failures(strategy, index), total)
    )


def _max_failures(strategy: RolloutStrategy, index: int) -> str:
    own = strategy.stages[index].max_failures
    return strategy.max_failures if own is None else own


def borne(strategy: RolloutStrategy, index: int, failures: int, released: int) -> int:
    """How many failures a stage bears that has released so many targets; `failures` on the whole.

    A number holds from the start. A percentage is earned: else 2 % of 10,000 would let a fault of
    one cluster in twenty reach 4,000 of them before its 200 failures were too many (ADR 0015).
    """
    limit = _max_failures(strategy, index)
    if not limit.endswith("%"):
        return failures
    return min(failures, EARLY + count_of(limit, released))


def limits(
    kind: RolloutKind, strategy: RolloutStrategy, stages: Sequence[StageView], index: int
) -> Limits:
    """What holds for a stage now.

    While no target has succeeded anywhere, a later stage keeps to the narrowest limits so far: a
    canary stage whose clusters were all skipped has proven nothing, and must not open the way for
    a wide stage.
    """
    own = declared(strategy, index, stages[index].total)
    if kind is RolloutKind.ROLLBACK or any(stage.succeeded for stage in stages):
        return own
    earlier = [declared(strategy, s.index, s.total) for s in stages[:index] if s.total]
    return Limits(
        min([own.concurrent, *(limit.concurrent for limit in earlier)]),
        min([own.failures, *(limit.failures for limit in earlier)]),
    )


def budget(
    kind: RolloutKind, strategy: RolloutStrategy, stages: Sequence[StageView], index: int
) -> int:
    """How many targets of the stage may have failed by now."""
    failures = limits(kind, strategy, stages, index).failures
    return borne(strategy, index, failures, stages[index].released)


def is_over_budget(
    kind: RolloutKind, strategy: RolloutStrategy, stages: Sequence[StageView], index: int
) -> bool:
    """True when more targets of the stage failed than its budget allows. Rollbacks have none."""
    stage = stages[index]
    if kind is RolloutKind.ROLLBACK or not stage.failed:
        return False
    return stage.failed - stage.forgiven > budget(kind, strategy, stages, index)
