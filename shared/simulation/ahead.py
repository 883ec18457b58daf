"""When other extensions will have arrived: the rollouts that bring them, simulated first.

A rollout's targets wait for what their clusters lack. The rollouts under way that bring it there
depend on nothing of this one, so they can be run to their end before it, those of dependencies
before those of their dependents. What none of them brings does not come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from shared.contract.states import RolloutKind, TargetState
from shared.planner.view import Lack
from shared.simulation.fleet import Setting, Underway, Wait
from shared.simulation.record import Simulated
from shared.simulation.run import simulate

Arrivals = Mapping[tuple[UUID, str], datetime | None]
"""Cluster and extension -> when it is ready there; None or no entry: not by what is under way."""


@dataclass(frozen=True, slots=True)
class Coming:
    """A rollout under way of an extension that others wait for."""

    extension: str
    depends_on: tuple[str, ...]
    setting: Setting
    underway: Underway


Took = Callable[[str, str], timedelta]
"""How long applying an extension takes on a cluster, by their names."""


def arrivals(coming: Sequence[Coming], took: Took) -> Arrivals:
    """Simulate them all. A cluster that several have yet to reach has it after the last of them."""
    found: dict[tuple[UUID, str], datetime | None] = {}
    for extension in _in_order(coming):
        own = _rollback_first(coming, extension)
        begins: datetime | None = own[0].setting.starts_at
        for rollout in own:
            went = None if begins is None else _simulated(rollout, took, found, begins)
            for target in rollout.underway.targets:
                key = (target.cluster_id, extension)
                at = went.ready.get(target.cluster_id) if went is not None else None
                found[key] = _later(found[key], at) if key in found else at
            begins = went.ended_at if went is not None else None
    return found


def foreseen(lacks: Iterable[Lack], cluster: UUID, found: Arrivals) -> tuple[Wait, ...]:
    """What a cluster waits for, with the time at which it comes."""
    return tuple(Wait(lack, found.get((cluster, lack.extension))) for lack in lacks)


def _in_order(coming: Sequence[Coming]) -> list[str]:
    """Dependencies before what depends on them.

    A publish refuses cycles; where a rollout of an older revision makes one, any order will do.
    """
    needs: dict[str, set[str]] = defaultdict(set)
    for rollout in coming:
        needs[rollout.extension].update(rollout.depends_on)
    ordered: dict[str, None] = {}
    visited: set[str] = set()

    def visit(extension: str) -> None:
        if extension in visited or extension not in needs:
            return
        visited.add(extension)
        for dependency in sorted(needs[extension]):
            visit(dependency)
        ordered[extension] = None

    for extension in sorted(needs):
        visit(extension)
    return list(ordered)


def _rollback_first(coming: Sequence[Coming], extension: str) -> list[Coming]:
    """A forward rollout stands behind a rollback of its extension."""
    own = [rollout for rollout in coming if rollout.extension == extension]
    return sorted(own, key=lambda one: one.underway.kind is not RolloutKind.ROLLBACK)


def _simulated(rollout: Coming, took: Took, found: Arrivals, begins: datetime) -> Simulated:
    applied = {
        target.cluster_id: target.ready_since - target.released_at
        for target in rollout.underway.targets
        if target.state is TargetState.VERIFYING
        and target.ready_since is not None
        and target.released_at is not None
    }
    clusters = [
        replace(
            cluster,
            apply_time=applied.get(cluster.goal.cluster_id)
            or took(rollout.extension, cluster.goal.cluster),
            waits=foreseen((wait.lack for wait in cluster.waits), cluster.goal.cluster_id, found),
        )
        for cluster in rollout.setting.clusters
    ]
    return simulate(
        replace(rollout.setting, clusters=clusters, starts_at=begins, underway=rollout.underway)
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    """None is never."""
    return None if one is None or other is None else max(one, other)
