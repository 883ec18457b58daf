"""What is simulated: clusters with their reach, and how applying ends on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from shared.contract.strategy import RolloutStrategy
from shared.domain.goals import Goal
from shared.pacing.source import Bucket
from shared.planner.view import Reach
from shared.planner.windows import Windows

_NO_WINDOWS: Final = Windows()


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

    @property
    def by_id(self) -> Mapping[UUID, SimulatedCluster]:
        """The clusters by their id."""
        return {cluster.goal.cluster_id: cluster for cluster in self.clusters}
