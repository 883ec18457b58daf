"""What publishing a manifest would do, without doing it: by the very functions that would do it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.contract.extension import ExtensionManifest
from shared.contract.rollout import LeftOut, PlannedStage, PlannedTarget, RolloutPlan
from shared.contract.states import RolloutState
from shared.contract.strategy import PaceMode, RolloutStrategy
from shared.domain.changes import changes
from shared.domain.goals import Goal, Goals, goals
from shared.planner.limits import declared
from shared.services.caller import Caller
from shared.services.hot_path import HotPath
from shared.services.publish import examine
from shared.services.standings import standings
from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("publish")
_R = load("rollouts")

APPLY_SECONDS: Final = 60.0
"""Assumed from release to ready for an extension without a history."""


async def plan(cp: HotPath, caller: Caller, manifest: ExtensionManifest) -> RolloutPlan:
    """Targets by stage, what changes for each, who is left out, and a predicted timeline.

    Raises what publishing would raise; stores nothing.
    """
    name, spec = manifest.metadata.name, manifest.spec
    async with cp.db.tenant(caller.tenant) as tx:
        extension = await tx.one(_Q.read_extension, tenant=caller.tenant, extension=name)
        content = await examine(tx, caller.tenant, manifest, extension)
        found = goals(spec, content.number, await standings(tx, caller.tenant, name))
        held = await _specs(tx, caller.tenant, found.targets)
        seconds = await tx.value(_Q.apply_seconds, tenant=caller.tenant, extension=name)
        active = await tx.all(_R.active_of, tenant=caller.tenant, extension=name)
    stages = _stages(spec.rollout, found, held, float(seconds or APPLY_SECONDS))
    return RolloutPlan(
        extension=name,
        revision=content.number,
        digest=content.digest,
        unchanged=content.unchanged,
        stages=stages,
        left_out=tuple(LeftOut(cluster=cluster, why=why) for cluster, why in found.left_out),
        leaves=tuple(goal.cluster for goal in found.targets if goal.absent),
        blast_radius=_blast_radius(stages),
        supersedes=tuple(
            row["rollout_id"]
            for row in active
            if row["kind"] != "rollback" and row["state"] != RolloutState.ROLLING_BACK
        ),
    )


async def _specs(
    tx: Transaction, tenant: str, targets: Sequence[Goal]
) -> dict[str, dict[str, Any]]:
    digests = sorted({goal.held for goal in targets if goal.held})
    rows = await tx.all(_Q.specs, tenant=tenant, digests=digests)
    return {row["digest"]: row["spec"] for row in rows}


def _stages(
    strategy: RolloutStrategy, found: Goals, held: Mapping[str, Any], apply_seconds: float
) -> tuple[PlannedStage, ...]:
    diffs: dict[tuple[str | None, str, bool], tuple[str, ...]] = {}
    members: dict[int, list[PlannedTarget]] = defaultdict(list)
    for goal in found.targets:
        key = (goal.held, goal.digest, goal.absent)
        if key not in diffs:
            before = held.get(goal.held or "", {})
            after = {} if goal.absent else found.specs[goal.digest].canonical
            diffs[key] = changes(before, after)
        members[goal.stage].append(
            PlannedTarget(cluster=goal.cluster, from_revision=goal.previous, changes=diffs[key])
        )
    planned: list[PlannedStage] = []
    start = end_at_floor = 0.0
    adaptive = strategy.pace.mode is PaceMode.ADAPTIVE
    for number, stage in enumerate(strategy.stages):
        targets = members[number]
        limit = declared(strategy, number, len(targets))
        shape = (strategy, number, len(targets), limit.concurrent, apply_seconds)
        end = start + _seconds(*shape, strategy.pace.per_minute)
        end_at_floor += _seconds(*shape, strategy.pace.floor)
        planned.append(
            PlannedStage(
                name=stage.name,
                max_concurrent=min(limit.concurrent, max(1, len(targets))),
                failure_budget=limit.failures,
                targets=tuple(targets),
                starts_after_seconds=start,
                ends_after_seconds=end,
                ends_after_seconds_at_floor=end_at_floor if adaptive else None,
            )
        )
        start = end
    return tuple(planned)


def _seconds(
    strategy: RolloutStrategy,
    number: int,
    targets: int,
    concurrent: int,
    apply_seconds: float,
    per_minute: float,
) -> float:
    """As long as the slower of concurrency and pace takes, and one target's time after that."""
    if not targets:
        return 0.0
    each = apply_seconds + strategy.stages[number].soak.total_seconds()
    rounds = math.ceil(targets / concurrent) * each
    paced = max(0, targets - strategy.pace.burst) * 60.0 / per_minute + each
    return max(rounds, paced)


def _blast_radius(stages: Sequence[PlannedStage]) -> int:
    """The most clusters that can have failed when the first stage to break its budget stops."""
    passed = 0
    worst = 0
    for stage in stages:
        if stage.targets:
            inside = min(len(stage.targets), stage.failure_budget + stage.max_concurrent)
            worst = max(worst, passed + inside)
            passed += min(stage.failure_budget, len(stage.targets))
    return worst
