"""How a publish would go if so many clusters failed or were silent: simulated, not done.

The production planner runs over the fleet as it stands, in virtual time. Which clusters fail, are
silent, or are slow is drawn by the seed, so the same question has the same answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from shared.contract.extension import ExtensionManifest
from shared.contract.plan import SimulatedEvent, SimulatedMoment, SimulatedStage, Simulation
from shared.domain.goals import Goal
from shared.planner import blast
from shared.services.caller import Caller
from shared.services.hot_path import HotPath
from shared.services.prospect import Prospect, prospect
from shared.simulation.ahead import Arrivals, arrivals
from shared.simulation.draws import ApplyTimes, apply_time, chosen
from shared.simulation.fleet import Setting, SimulatedCluster
from shared.simulation.record import Sample, Simulated
from shared.simulation.run import simulate as run

MOMENTS: Final = 120
"""Steps of time that a simulation's numbers are given for."""


async def simulate(
    cp: HotPath,
    caller: Caller,
    manifest: ExtensionManifest,
    *,
    failures: str = "0",
    offline: str = "0",
    seed: int = 0,
) -> Simulation:
    """Simulate it; `failures` and `offline` are counts or percentages of the targets.

    Raises what publishing would raise; stores nothing.
    """
    async with cp.db.tenant(caller.tenant) as tx:
        found = await prospect(tx, caller, manifest, cp.clock())
    simulated = await asyncio.to_thread(_run, found, caller.tenant, failures, offline, seed)
    return _answer(found, simulated, failures, offline, seed)


def _run(found: Prospect, tenant: str, failures: str, offline: str, seed: int) -> Simulated:
    """What it waits for comes first: by rollouts under way, with apply times drawn, too."""

    def took(extension: str, cluster: str) -> timedelta:
        times = found.ahead.times[extension]
        known = ApplyTimes(times.p50_seconds, times.p95_seconds)
        return apply_time(seed, f"{extension}/{cluster}", known)

    comes = arrivals(found.ahead.coming, took)
    return run(_setting(found, comes, tenant, failures, offline, seed))


def _setting(
    found: Prospect, comes: Arrivals, tenant: str, failures: str, offline: str, seed: int
) -> Setting:
    targets = found.goals.targets
    silent = chosen(seed, "offline", [goal.cluster for goal in targets], offline)
    heard = [goal.cluster for goal in targets if _is_heard(found, goal, silent)]
    share = chosen(seed, "failures", heard, failures)
    times = ApplyTimes(found.times.p50_seconds, found.times.p95_seconds)
    clusters = []
    for goal in targets:
        reach, row = found.reach(goal), found.fleet[goal.cluster_id]
        if goal.cluster in silent and reach.connected:
            reach = replace(reach, connected=False, silent_since=found.now)
        good = (row["good_revision"], row["good_digest"]) if row["good_revision"] else None
        clusters.append(
            SimulatedCluster(
                goal,
                reach,
                apply_time(seed, goal.cluster, times),
                fails=goal.cluster in share,
                good=good,
                waits=found.waits(goal, comes),
            )
        )
    return found.setting(clusters, tenant)


def _is_heard(found: Prospect, goal: Goal, silent: frozenset[str]) -> bool:
    return goal.cluster not in silent and found.reach(goal).connected


def _answer(
    found: Prospect, simulated: Simulated, failures: str, offline: str, seed: int
) -> Simulation:
    def after(at: datetime) -> float:
        return round((at - simulated.started_at).total_seconds(), 3)

    def after_or_none(at: datetime | None) -> float | None:
        return None if at is None else after(at)

    return Simulation(
        extension=found.manifest.metadata.name,
        revision=found.content.number,
        seed=seed,
        failures=failures,
        offline=offline,
        starts_at=simulated.started_at,
        state=simulated.state,
        ends_after_seconds=after_or_none(simulated.ended_at),
        waiting_for=simulated.waiting_for,
        targets=len(found.goals.targets),
        reached=len(simulated.got_it),
        taken_back=simulated.taken_back,
        first_failure_after_seconds=after_or_none(simulated.first_failure_at),
        reached_at_first_failure=simulated.got_it_at_first_failure,
        blast_radius=blast.of_everywhere(found.manifest.spec.rollout, found.totals),
        stages=tuple(
            SimulatedStage(
                name=stage.name,
                total=stage.total,
                succeeded=stage.succeeded,
                failed=stage.failed,
                skipped=stage.skipped,
                unfinished=stage.unfinished,
                opened_after_seconds=after_or_none(stage.opened_at),
                passed_after_seconds=after_or_none(stage.passed_at),
            )
            for stage in simulated.stages
        ),
        samples=tuple(
            SimulatedMoment(
                after_seconds=after(sample.at),
                reached=sample.got_it,
                in_flight=sample.in_flight,
                succeeded=sample.succeeded,
                failed=sample.failed,
                skipped=sample.skipped,
                taken_back=sample.taken_back,
                held=sample.held,
            )
            for sample in _evenly(simulated.samples)
        ),
        events=tuple(
            SimulatedEvent(after_seconds=after(one.at), reason=one.reason, message=one.message)
            for one in simulated.happenings
        ),
        events_left_out=simulated.left_out,
        apply_times=found.times,
        assumptions=(*found.assumptions(), "the rollback succeeds on every cluster"),
    )


def _evenly(samples: Sequence[Sample]) -> list[Sample]:
    """The numbers at the ends of MOMENTS equal steps of time: for each the last that was known."""
    first, last = samples[0].at, samples[-1].at
    step = (last - first) / MOMENTS
    found: list[Sample] = []
    ahead = iter(samples)
    known, following = samples[0], next(ahead, None)
    for number in range(MOMENTS + 1):
        moment = last if number == MOMENTS else first + step * number
        while following is not None and following.at <= moment:
            known, following = following, next(ahead, None)
        if not found or found[-1] is not known:
            found.append(known)
    return found
