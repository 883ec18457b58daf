"""Small fleets to simulate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.contract.strategy import RolloutStrategy
from shared.domain.goals import Goal
from shared.domain.stages import Member, arrange
from shared.planner.view import Reach
from shared.planner.windows import Windows
from shared.simulation.fleet import Setting, SimulatedCluster

START = datetime(2026, 5, 4, 10, tzinfo=UTC)
FAST = {"perMinute": 60_000, "burst": 10_000}


def strategy(**fields: Any) -> RolloutStrategy:
    stages = [{"name": "all", "maxConcurrent": 2, "soak": "0s"}]
    return RolloutStrategy.model_validate({"stages": stages, "pace": FAST, **fields})


def setting(
    count: int,
    plan: RolloutStrategy,
    *,
    failing: Collection[int] = (),
    silent: Collection[int] = (),
    reach: Mapping[int, Reach] | None = None,
    apply_seconds: float = 10,
    windows: Windows | None = None,
) -> Setting:
    """`count` clusters, `c0` first; those that fail, and those that are silent from the start."""
    members = [Member(UUID(int=100 + n), f"c{n:04}", {}) for n in range(count)]
    reaches = {n: Reach(connected=False, silent_since=START) for n in silent} | dict(reach or {})
    clusters = []
    for placed in arrange(plan, members).placed:
        number = placed.member.cluster_id.int - 100
        goal = Goal(
            placed.member.cluster_id, placed.member.name, placed.stage, placed.position,
            revision=2, digest="new", absent=False, previous=1, held="old",
        )  # fmt: skip
        clusters.append(
            SimulatedCluster(
                goal,
                reaches.get(number, Reach()),
                timedelta(seconds=apply_seconds),
                fails=number in failing,
                good=(1, "old"),
            )
        )
    return Setting(2, plan, clusters, START, windows or Windows())
