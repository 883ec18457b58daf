"""What a plan and a simulation of a publish are made from: one consistent read, nothing stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.contract.extension import ExtensionManifest
from shared.contract.plan import PredictedTimes, TimesSource
from shared.contract.states import RolloutKind
from shared.contract.wording import plural
from shared.domain.goals import Goal, Goals, goals
from shared.planner.view import Found, Lack, Reach
from shared.planner.windows import Windows
from shared.services import freezes, pace
from shared.services.ahead import Ahead, lacks, read_ahead
from shared.services.apply_times import predicted
from shared.services.caller import Caller
from shared.services.publish import Content, examine
from shared.services.standings import standing
from shared.simulation.ahead import Arrivals, foreseen
from shared.simulation.fleet import Setting, SimulatedCluster, Wait
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("plan")
_P = load("publish")
_R = load("rollouts")


@dataclass(frozen=True, slots=True)
class Prospect:
    """What publishing would find."""

    manifest: ExtensionManifest
    content: Content
    goals: Goals
    fleet: Mapping[UUID, Row]
    held: Mapping[str, Any]
    """The specs that clusters have now, by digest."""
    times: PredictedTimes
    windows: Windows
    active: Sequence[Row]
    """Rollouts of the extension that are under way."""
    lacks: Mapping[UUID, tuple[Lack, ...]]
    """What each cluster would have to have first: what the extension depends on, or for a cluster
    that it leaves, to have lost what depends on it."""
    ahead: Ahead
    """What brings that."""
    now: datetime

    @property
    def totals(self) -> list[int]:
        """The number of targets in each stage."""
        found = [0] * len(self.manifest.spec.rollout.stages)
        for goal in self.goals.targets:
            found[goal.stage] += 1
        return found

    def reach(self, goal: Goal) -> Reach:
        """Whether its cluster can act on a release now."""
        row = self.fleet[goal.cluster_id]
        return Reach(row["reachable"], row["silent_since"], row["not_now_until"])

    def waits(self, goal: Goal, arrivals: Arrivals) -> tuple[Wait, ...]:
        """What its cluster lacks, and when that comes."""
        return foreseen(self.lacks.get(goal.cluster_id, ()), goal.cluster_id, arrivals)

    def setting(self, clusters: Sequence[SimulatedCluster], tenant: str) -> Setting:
        """These clusters in a simulation that begins now."""
        spec = self.manifest.spec
        return Setting(
            revision=self.content.number,
            strategy=spec.rollout,
            clusters=clusters,
            starts_at=self.now,
            windows=self.windows,
            shared_buckets=pace.beside_its_own(
                tenant, RolloutKind.PUBLISH, spec.rollout, spec.source.origin
            ),
        )

    def assumptions(self) -> tuple[str, ...]:
        """What every timeline made from this takes for granted."""
        return tuple(_assumptions(self))


async def prospect(
    tx: Transaction, caller: Caller, manifest: ExtensionManifest, now: datetime
) -> Prospect:
    """Read it. Raises what publishing the manifest would raise."""
    tenant, name, spec = caller.tenant, manifest.metadata.name, manifest.spec
    extension = await tx.one(_P.read_extension, tenant=tenant, extension=name)
    content = await examine(tx, tenant, manifest, extension)
    ahead = await read_ahead(tx, tenant, spec.depends_on, now)
    rows = await tx.all(
        _Q.fleet,
        tenant=tenant,
        extension=name,
        needed=list(spec.depends_on),
        coming=list(ahead.direct),
    )
    found = goals(spec, content.number, [standing(row) for row in rows])
    digests = sorted({goal.held for goal in found.targets if goal.held})
    held = await tx.all(_P.specs, tenant=tenant, digests=digests)
    return Prospect(
        manifest=manifest,
        content=content,
        goals=found,
        fleet={row["cluster_id"]: row for row in rows},
        held={row["digest"]: row["spec"] for row in held},
        times=await predicted(tx, tenant, name, spec.rollout),
        windows=await freezes.of_rollout(tx, tenant, name, spec.rollout.windows, None),
        active=await tx.all(_R.active_of, tenant=tenant, extension=name),
        lacks=await _lacks(tx, tenant, name, found, rows),
        ahead=ahead,
        now=now,
    )


async def _lacks(
    tx: Transaction, tenant: str, name: str, found: Goals, rows: Sequence[Row]
) -> dict[UUID, tuple[Lack, ...]]:
    """Of every target that lacks something."""
    leaving = [goal.cluster_id for goal in found.targets if goal.absent]
    made = {row["cluster_id"]: lacks(row) for row in rows}
    made |= {cluster_id: () for cluster_id in leaving}
    if leaving:
        there = await tx.all(_Q.dependents_there, tenant=tenant, extension=name, clusters=leaving)
        for row in there:
            lack = Lack(row["extension"], Found(row["found"]), row["since"])
            made[row["cluster_id"]] = (*made[row["cluster_id"]], lack)
    return {
        goal.cluster_id: made[goal.cluster_id] for goal in found.targets if made[goal.cluster_id]
    }


def _assumptions(found: Prospect) -> list[str]:
    strategy = found.manifest.spec.rollout
    said = ["nobody publishes, pauses or cancels, and no cluster comes or goes meanwhile"]
    if found.times.source is TimesSource.DEFAULT:
        said.append(
            f"nothing was applied yet: {found.times.p50_seconds:.0f} s mostly, and "
            f"{found.times.p95_seconds:.0f} s at most for 19 in 20, are a guess"
        )
    strategies = [strategy, *(rollout.setting.strategy for rollout in found.ahead.coming)]
    if any(stage.approval == "required" for one in strategies for stage in one.stages):
        said.append("stages are approved as soon as they ask for it")
    away = [goal for goal in found.goals.targets if not found.reach(goal).connected]
    if away:
        said.append(f"what is silent now stays so and is skipped: {plural(len(away), 'cluster')}")
    if found.lacks:
        said.append(
            f"{plural(len(found.lacks), 'place')} kept until what a cluster waits for is there: "
            f"rollouts under way bring it ({len(found.ahead.coming)}, and they go well), or nothing"
        )
    if found.ahead.left_out:
        said.append(f"not foreseen: what {plural(found.ahead.left_out, 'more rollout')} will bring")
    if strategy.pace.mode == "adaptive":
        said.append("the adaptive pace sees failures and apply times, and no trouble elsewhere")
    return said
