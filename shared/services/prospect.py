"""What a plan and a simulation of a publish are made from: one consistent read, nothing stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shared.contract.extension import ExtensionManifest
from shared.contract.plan import PredictedTimes, TimesSource
from shared.contract.states import RolloutKind
from shared.domain.goals import Goal, Goals, goals
from shared.pacing.source import Bucket
from shared.planner.view import Lack, Reach
from shared.planner.windows import Windows
from shared.services import freezes, pace
from shared.services.caller import Caller
from shared.services.publish import Content, examine
from shared.services.standings import standing
from shared.services.view_rows import lack
from shared.simulation.fleet import Setting, SimulatedCluster
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("plan")
_P = load("publish")
_R = load("rollouts")

ASSUMED: Final = PredictedTimes(
    p50_seconds=60.0, p95_seconds=180.0, source=TimesSource.DEFAULT, samples=0
)
ENOUGH: Final = 5
"""Recorded applies that a prediction needs."""


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

    def lacks(self, goal: Goal) -> Lack | None:
        """What its cluster would have to have first; nothing is asked for a removal."""
        return None if goal.absent else lack(self.fleet[goal.cluster_id])

    def setting(self, clusters: Sequence[SimulatedCluster], tenant: str) -> Setting:
        """These clusters in a simulation that begins now."""
        spec = self.manifest.spec
        buckets = pace.buckets(
            tenant, UUID(int=0), RolloutKind.PUBLISH, spec.rollout, origin=spec.source.origin
        )
        return Setting(
            revision=self.content.number,
            strategy=spec.rollout,
            clusters=clusters,
            starts_at=self.now,
            windows=self.windows,
            shared_buckets=_not_its_own(buckets),
        )

    def assumptions(self) -> tuple[str, ...]:
        """What every timeline made from this takes for granted."""
        return tuple(_assumptions(self))


def _not_its_own(buckets: Sequence[Bucket]) -> tuple[Bucket, ...]:
    """The tenant's bucket is full mostly, as it is wide; a registry's fills with the rollout."""
    return tuple(
        Bucket(bucket.key, bucket.rate, starts_full=bucket.rate == pace.TENANT)
        for bucket in buckets[1:]
    )


async def prospect(
    tx: Transaction, caller: Caller, manifest: ExtensionManifest, now: datetime
) -> Prospect:
    """Read it. Raises what publishing the manifest would raise."""
    tenant, name, spec = caller.tenant, manifest.metadata.name, manifest.spec
    extension = await tx.one(_P.read_extension, tenant=tenant, extension=name)
    content = await examine(tx, tenant, manifest, extension)
    needed = list(spec.depends_on)
    coming = await tx.all(_Q.coming, tenant=tenant, needed=needed) if needed else []
    rows = await tx.all(
        _Q.fleet,
        tenant=tenant,
        extension=name,
        needed=needed,
        coming=[row["rollout_id"] for row in coming],
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
        times=await _times(tx, tenant, name),
        windows=await freezes.of_rollout(tx, tenant, name, spec.rollout.windows, None),
        active=await tx.all(_R.active_of, tenant=tenant, extension=name),
        now=now,
    )


async def _times(tx: Transaction, tenant: str, name: str) -> PredictedTimes:
    """From the extension's history, else from the tenant's, else assumed."""
    for extension, source in ((name, TimesSource.EXTENSION), (None, TimesSource.TENANT)):
        row = await tx.one(_Q.apply_times, tenant=tenant, extension=extension)
        if row is not None and row["samples"] >= ENOUGH:
            return PredictedTimes(
                p50_seconds=round(row["p50"], 3),
                p95_seconds=round(row["p95"], 3),
                source=source,
                samples=row["samples"],
            )
    return ASSUMED


def _assumptions(found: Prospect) -> list[str]:
    strategy = found.manifest.spec.rollout
    said = ["nobody publishes, pauses or cancels, and no cluster comes or goes meanwhile"]
    if found.times.source is TimesSource.DEFAULT:
        said.append(
            f"nothing was applied yet: {found.times.p50_seconds:.0f} s mostly, and "
            f"{found.times.p95_seconds:.0f} s at most for 19 in 20, are a guess"
        )
    if any(stage.approval == "required" for stage in strategy.stages):
        said.append("stages are approved as soon as they ask for it")
    away = [goal for goal in found.goals.targets if not found.reach(goal).connected]
    if away:
        said.append(f"{len(away)} clusters that are silent now stay so, and are skipped")
    lacking = [goal.cluster for goal in found.goals.targets if found.lacks(goal) is not None]
    if lacking:
        said.append(
            f"{len(lacking)} clusters get what the extension depends on before their turn"
            f" ({', '.join(lacking[:3])}{', …' if len(lacking) > 3 else ''})"
        )
    if strategy.pace.mode == "adaptive":
        said.append("the adaptive pace sees failures and apply times, and no trouble elsewhere")
    return said
