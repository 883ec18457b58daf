"""What is simulated: clusters with their reach, and how applying ends on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from shared.contract.states import RolloutKind, RolloutState
from shared.contract.strategy import RolloutStrategy
from shared.domain.goals import Goal
from shared.pacing.source import Bucket
from shared.planner.pacing import Pacing
from shared.planner.view import Lack, Reach, StageView, TargetView
from shared.planner.windows import Windows

_NO_WINDOWS: Final = Windows()


@dataclass(frozen=True, slots=True)
class Wait:
    """What a cluster lacks before its turn."""

    lack: Lack
    until: datetime | None = None
    """When the cluster will have it; None: nothing that is under way brings it there."""


@dataclass(frozen=True, slots=True)
class SimulatedCluster:
    """One cluster that the rollout reaches."""

    goal: Goal
    reach: Reach
    apply_time: timedelta
    """From release to the report that it is ready, or has failed."""
    fails: bool = False
    good: tuple[int, str] | None = None
    """Revision and digest of its last known good; None: it would go to absent."""
    waits: tuple[Wait, ...] = ()
    """For what it is held in its place, until it has all of it."""

    def lacks(self, now: datetime) -> Lack | None:
        """The first thing that it still lacks."""
        for wait in self.waits:
            if wait.until is None or wait.until > now:
                return wait.lack
        return None

    def next_arrival(self, now: datetime) -> datetime | None:
        """When the next thing that it lacks comes, of those that come."""
        moments = (wait.until for wait in self.waits if wait.until is not None)
        return min((moment for moment in moments if moment > now), default=None)


@dataclass(frozen=True, slots=True)
class Underway:
    """A rollout that has begun: the simulation goes on from there."""

    kind: RolloutKind
    state: RolloutState
    created_at: datetime
    stages: tuple[StageView, ...]
    """With their counters of all targets."""
    targets: tuple[TargetView, ...]
    """Those that are not done."""
    pacing: Pacing | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that a simulation depends on."""

    revision: int
    strategy: RolloutStrategy
    clusters: Sequence[SimulatedCluster]
    starts_at: datetime
    windows: Windows = _NO_WINDOWS
    shared_buckets: Sequence[Bucket] = ()
    """Buckets beside the rollout's own: its tenant's, and its registry's."""
    underway: Underway | None = None
    """None: it starts from nothing."""

    @property
    def by_id(self) -> Mapping[UUID, SimulatedCluster]:
        """The clusters by their id."""
        return {cluster.goal.cluster_id: cluster for cluster in self.clusters}
