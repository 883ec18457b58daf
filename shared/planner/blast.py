"""How many clusters a bad revision can reach before its failures stop it.

A stage is stopped by one failure more than its budget. Until then each failure frees a place, so
the stage has released at most its places and its budget together. Of a budget in percent only what
so many releases earn counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.contract.states import RolloutKind
from shared.contract.strategy import OnFailure, RolloutStrategy
from shared.planner.limits import Limits, borne, declared, limits
from shared.planner.view import StageView


def of_everywhere(strategy: RolloutStrategy, totals: Sequence[int]) -> int:
    """The most that can have got a revision that fails on every cluster.

    `totals` are the targets of each stage. Stages whose clusters were all skipped, or failed within
    their budget, are passed; the narrowest limits so far hold then, as nothing has succeeded yet.
    """
    if strategy.on_failure is OnFailure.CONTINUE:
        return sum(totals)
    stages = [
        StageView(index, stage.name, total)
        for index, (stage, total) in enumerate(zip(strategy.stages, totals, strict=True))
    ]
    worst = failed_before = 0
    for stage in stages:
        limit = limits(RolloutKind.PUBLISH, strategy, stages, stage.index)
        failures = _failures(strategy, stage.index, limit, stage.total)
        inside = min(stage.total, limit.concurrent + failures)
        worst = max(worst, failed_before + inside)
        failed_before += min(stage.total, failures)
    return worst


def of_stage(strategy: RolloutStrategy, totals: Sequence[int], index: int) -> int:
    """Those that have it when the stage's first releases all fail, after all before went well."""
    if strategy.on_failure is OnFailure.CONTINUE:
        return sum(totals)
    limit = declared(strategy, index, totals[index])
    failures = _failures(strategy, index, limit, totals[index])
    return sum(totals[:index]) + min(totals[index], limit.concurrent + failures)


def _failures(strategy: RolloutStrategy, index: int, limit: Limits, total: int) -> int:
    """The most failures that a stage bears of which every release fails."""
    failures = 0
    while True:
        released = min(total, limit.concurrent + failures)
        more = borne(strategy, index, limit.failures, released)
        if more <= failures:
            return failures
        failures = more
