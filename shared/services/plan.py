"""What publishing a manifest would do, without doing it: by the very functions that would do it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from shared.contract.canonical import canonical_json, digest
from shared.contract.extension import ExtensionManifest
from shared.contract.plan import (
    LeftOut,
    PlannedStage,
    PlannedTarget,
    PredictedTimes,
    RolloutPlan,
    SpecChange,
    SpecDifference,
)
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import PaceMode
from shared.domain.changes import compare
from shared.domain.goals import Goal
from shared.planner import blast
from shared.planner.lacks import why_lacks
from shared.planner.limits import declared
from shared.planner.target_waiting import target_waiting_for
from shared.planner.view import RolloutView, StageView, TargetView
from shared.services.caller import Caller
from shared.services.hot_path import HotPath
from shared.services.prospect import Prospect, prospect
from shared.simulation.ahead import Arrivals, arrivals
from shared.simulation.fleet import Setting, SimulatedCluster
from shared.simulation.record import Simulated
from shared.simulation.run import simulate

LONG_VALUE_BYTES: Final = 1_024
"""A longer value is not shown, but told by its size and digest."""
_OF_THE_CLUSTER: Final = frozenset(
    {
        ReasonCode.CLUSTER_OFFLINE,
        ReasonCode.NOT_NOW,
        ReasonCode.DEPENDENCY_NOT_READY,
        ReasonCode.DEPENDENT_PRESENT,
    }
)


async def plan(cp: HotPath, caller: Caller, manifest: ExtensionManifest) -> RolloutPlan:
    """Targets by stage, what changes for each, who is left out, a timeline, and the blast radius.

    Raises what publishing would raise; stores nothing.
    """
    async with cp.db.tenant(caller.tenant) as tx:
        found = await prospect(tx, caller, manifest, cp.clock())
    timeline = await asyncio.to_thread(_timeline, found, caller.tenant)
    return _plan(found, timeline)


@dataclass(frozen=True, slots=True)
class _Timeline:
    """The rollout without failures, at the median and at the 95th percentile of apply times."""

    usual: Simulated
    slow: Simulated
    at_floor: Simulated | None
    """With an adaptive pace at its floor."""
    arrivals: Arrivals
    """When what the clusters lack comes, at the median."""


def _timeline(found: Prospect, tenant: str) -> _Timeline:
    strategy = found.manifest.spec.rollout
    arrivals = _arrivals(found, lambda times: times.p50_seconds)
    usual = _setting(found, tenant, found.times.p50_seconds, arrivals)
    at_floor = None
    if strategy.pace.mode is PaceMode.ADAPTIVE:
        slowest = {"per_minute": strategy.pace.floor, "mode": PaceMode.FIXED}
        fixed = strategy.pace.model_copy(update={**slowest, "min_per_minute": None})
        at_floor = simulate(replace(usual, strategy=strategy.model_copy(update={"pace": fixed})))
    later = _arrivals(found, lambda times: times.p95_seconds)
    slow = simulate(_setting(found, tenant, found.times.p95_seconds, later))
    return _Timeline(simulate(usual), slow, at_floor, arrivals)


def _arrivals(found: Prospect, seconds: Callable[[PredictedTimes], float]) -> Arrivals:
    ahead = found.ahead
    return arrivals(
        ahead.coming, lambda extension, _: timedelta(seconds=seconds(ahead.times[extension]))
    )


def _setting(found: Prospect, tenant: str, seconds: float, arrivals: Arrivals) -> Setting:
    took = timedelta(seconds=seconds)
    clusters = [
        SimulatedCluster(goal, found.reach(goal), took, waits=found.waits(goal, arrivals))
        for goal in found.goals.targets
    ]
    return found.setting(clusters, tenant)


def _plan(found: Prospect, timeline: _Timeline) -> RolloutPlan:
    content, strategy = found.content, found.manifest.spec.rollout
    differences, index_of = _differences(found)
    return RolloutPlan(
        extension=found.manifest.metadata.name,
        revision=content.number,
        digest=content.digest,
        unchanged=content.brought_out_by is not None,
        planned_at=found.now,
        stages=_stages(found, timeline, differences, index_of),
        differences=differences,
        left_out=tuple(LeftOut(cluster=cluster, why=why) for cluster, why in found.goals.left_out),
        not_selected=len(found.fleet) - len(found.goals.targets) - len(found.goals.left_out),
        leaves=tuple(goal.cluster for goal in found.goals.targets if goal.absent),
        blast_radius=blast.of_everywhere(strategy, found.totals),
        ends_as=timeline.usual.state,
        waiting_for=timeline.usual.waiting_for,
        apply_times=found.times,
        assumptions=found.assumptions(),
        supersedes=tuple(
            row["rollout_id"]
            for row in found.active
            if row["kind"] != "rollback" and row["state"] != RolloutState.ROLLING_BACK
        ),
    )


_Key = tuple[str | None, str | None]
"""The digests that a cluster goes from and to; None for absent."""


def _key(goal: Goal) -> _Key:
    return goal.held, None if goal.absent else goal.digest


def _differences(found: Prospect) -> tuple[tuple[SpecDifference, ...], dict[_Key, int]]:
    counted = Counter(_key(goal) for goal in found.goals.targets)
    made = tuple(
        SpecDifference(
            from_digest=before,
            to_digest=after,
            clusters=clusters,
            changes=tuple(
                SpecChange(
                    path=change.pointer, before=_shown(change.before), after=_shown(change.after)
                )
                for change in compare(
                    found.held.get(before or "", {}),
                    found.goals.specs[after].canonical if after else {},
                )
            ),
        )
        for (before, after), clusters in counted.items()
    )
    return made, {key: index for index, key in enumerate(counted)}


def _shown(value: Any) -> Any:
    size = len(canonical_json(value))
    return value if size <= LONG_VALUE_BYTES else f"{size} bytes, {digest(value)}"


def _stages(
    found: Prospect,
    timeline: _Timeline,
    differences: tuple[SpecDifference, ...],
    index_of: dict[_Key, int],
) -> tuple[PlannedStage, ...]:
    strategy, totals = found.manifest.spec.rollout, found.totals
    members: dict[int, list[PlannedTarget]] = defaultdict(list)
    for goal in found.goals.targets:
        index = index_of[_key(goal)]
        members[goal.stage].append(
            PlannedTarget(
                cluster=goal.cluster,
                from_revision=goal.previous,
                changes=tuple(change.path for change in differences[index].changes),
                difference=index,
                waiting_for=_waiting_for(found, goal, timeline.arrivals),
            )
        )
    planned = []
    for number, stage in enumerate(strategy.stages):
        limit = declared(strategy, number, totals[number])
        starts, ends = _times(timeline.usual, number)
        planned.append(
            PlannedStage(
                name=stage.name,
                max_concurrent=min(limit.concurrent, max(1, totals[number])),
                failure_budget=limit.failures,
                targets=tuple(members[number]),
                blast_radius=blast.of_stage(strategy, totals, number),
                starts_after_seconds=starts,
                ends_after_seconds=ends,
                ends_after_seconds_at_p95=_times(timeline.slow, number)[1],
                ends_after_seconds_at_floor=_times(timeline.at_floor, number)[1],
            )
        )
    return tuple(planned)


def _times(simulated: Simulated | None, number: int) -> tuple[float | None, float | None]:
    """When the stage opens and passes, in seconds; a stage without targets is passed in no time."""
    if simulated is None:
        return None, None
    stage = simulated.stages[number]
    opened, passed = (
        (at - simulated.started_at).total_seconds() if at is not None else None
        for at in (stage.opened_at, stage.passed_at)
    )
    return (passed if opened is None else opened), passed


def _waiting_for(found: Prospect, goal: Goal, arrivals: Arrivals) -> WaitingFor | None:
    """What stands in the way on the cluster itself, were its stage open."""
    lacks = next(iter(found.lacks.get(goal.cluster_id, ())), None)
    strategy = found.manifest.spec.rollout
    stages = tuple(
        StageView(index, stage.name, 0, opened_at=found.now)
        for index, stage in enumerate(strategy.stages)
    )
    view = RolloutView(
        UUID(int=0), RolloutKind.PUBLISH, RolloutState.RUNNING, strategy, found.now, stages
    )
    target = TargetView(
        goal.cluster_id,
        goal.cluster,
        goal.stage,
        goal.position,
        TargetState.TO_APPLY,
        goal.digest,
        reach=found.reach(goal),
        lacks=lacks,
    )
    if target.lacks is None and target.reach.can_act(found.now):
        return None
    said = target_waiting_for(view, target, found.now)
    if said is None or said.reason not in _OF_THE_CLUSTER:
        return None
    if lacks is None or said.reason is not why_lacks(lacks):
        return said
    comes = arrivals.get((goal.cluster_id, lacks.extension))
    return said.model_copy(update={"until": comes})
