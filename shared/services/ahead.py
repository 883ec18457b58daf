"""Rollouts under way that a publish would wait for, read so that a simulation can go on from there.

They bring to clusters what the extension depends on; they may wait for others in their turn, and
those are read, too. Nothing is taken: the pacer goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Final
from uuid import UUID

from shared.contract.plan import PredictedTimes
from shared.contract.source import Source
from shared.contract.states import RolloutKind
from shared.domain.goals import Goal
from shared.planner.view import Found, Lack
from shared.planner.windows import Windows
from shared.services import adaptive_pace, freezes, pace
from shared.services.apply_times import predicted
from shared.services.dependency_gate import dependency_gate
from shared.services.rollout_view import outline
from shared.services.view_rows import target_view
from shared.simulation.ahead import Coming
from shared.simulation.fleet import Setting, SimulatedCluster, Underway, Wait
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("plan")

SIMULATED: Final = 10
"""Rollouts that one question simulates beside its own: each may cost as much as that."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What has to arrive before an extension's turn."""

    direct: tuple[UUID, ...]
    """Rollouts of what it depends on itself."""
    coming: tuple[Coming, ...]
    """Those, and what they wait for."""
    times: Mapping[str, PredictedTimes]
    """By extension."""
    left_out: int
    """Rollouts beyond SIMULATED, of which nothing is foreseen."""


async def read_ahead(tx: Transaction, tenant: str, needed: Sequence[str], now: datetime) -> Ahead:
    """Everything under way that a rollout of something with these dependencies would wait for."""
    rows = await tx.all(_Q.under_way, tenant=tenant, extensions=list(needed))
    direct = tuple(row["rollout_id"] for row in rows)
    coming: list[Coming] = []
    asked = set(needed)
    left_out = 0
    while rows:
        taken = rows[: SIMULATED - len(coming)]
        left_out += len(rows) - len(taken)
        coming += [await _coming(tx, tenant, row, now) for row in taken]
        following = sorted({name for row in rows for name in row["depends_on"]} - asked)
        asked.update(following)
        rows = await tx.all(_Q.under_way, tenant=tenant, extensions=following)
    strategies = {rollout.extension: rollout.setting.strategy for rollout in coming}
    times = {
        name: await predicted(tx, tenant, name, strategy)
        for name, strategy in sorted(strategies.items(), key=itemgetter(0))
    }
    return Ahead(direct, tuple(coming), times, left_out)


def lacks(row: Row) -> tuple[Lack, ...]:
    """All that a cluster lacks, by a row of `fleet` or `left_of`."""
    if row["lack_names"] is None:
        return ()
    columns = zip(row["lack_names"], row["lack_kinds"], row["lack_since"], strict=True)
    return tuple(Lack(name, Found(kind), since) for name, kind, since in columns)


async def _coming(tx: Transaction, tenant: str, row: Row, now: datetime) -> Coming:
    view = await outline(tx, tenant, row, now)
    gate = await dependency_gate(tx, tenant, row)
    left = await tx.all(
        _Q.left_of,
        tenant=tenant,
        rollout=view.rollout_id,
        extension=row["extension"],
        needed=list(gate.needed),
        coming=list(gate.coming),
    )
    windows = Windows()
    if view.kind is not RolloutKind.ROLLBACK:
        windows = await freezes.of_rollout(
            tx, tenant, row["extension"], view.strategy.windows, row["freeze_override_until"]
        )
    origin = Source.model_validate(row["source"]).origin if row["source"] else None
    setting = Setting(
        revision=row["revision"] or 0,
        strategy=view.strategy,
        clusters=[_cluster(each) for each in left],
        starts_at=now,
        windows=windows,
        shared_buckets=pace.beside_its_own(tenant, view.kind, view.strategy, origin),
    )
    underway = Underway(
        view.kind,
        view.state,
        view.created_at,
        view.stages,
        tuple(target_view(each) for each in left),
        adaptive_pace.restored(view.strategy.pace, row["pacing"], now),
    )
    return Coming(row["extension"], gate.needed, setting, underway)


def _cluster(row: Row) -> SimulatedCluster:
    target = target_view(row)
    goal = Goal(
        target.cluster_id,
        target.cluster,
        target.stage,
        target.position,
        revision=row["goal_revision"],
        digest=target.goal_digest,
        absent=target.goal_absent,
        previous=0,
    )
    return SimulatedCluster(
        goal, target.reach, timedelta(), waits=tuple(Wait(lack) for lack in lacks(row))
    )
