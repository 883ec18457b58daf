"""What there is in the world: rollouts, clusters, the time, and what is in the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.contract.freeze import FreezeSpec
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy
from shared.pacing.gcra import Rate
from shared.pacing.memory import MemoryTokens
from shared.pacing.source import Bucket
from shared.planner.pacing import Pacing
from shared.planner.view import StageView, TargetView
from shared.planner.windows import OPEN, Verdict, Window, Windows, judge_windows
from tests.unit.planner.worlds.budget_rule import Counted, counted
from tests.unit.planner.worlds.fleet import Cluster

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Rollout:
    """One rollout."""

    id: UUID
    kind: RolloutKind
    strategy: RolloutStrategy
    revision: int
    created_at: datetime
    targets: dict[UUID, TargetView]
    goals: dict[UUID, tuple[int, bool]]
    """Cluster -> revision to go to, and whether that means absent."""
    stages: list[StageView]
    state: RolloutState = RolloutState.PENDING
    rollback_of: UUID | None = None
    waiting_for: WaitingFor | None = None
    pacing: Pacing | None = None
    look_again_at: datetime | None = None
    reverted: set[UUID] = field(default_factory=set)

    def in_state(self, *states: TargetState) -> Iterator[TargetView]:
        """In the order of their positions, in which they were put in."""
        return (target for target in self.targets.values() if target.state in states)

    def stage_targets(self, index: int) -> list[TargetView]:
        return [target for target in self.targets.values() if target.stage == index]

    def counted(self) -> list[Counted]:
        """Its stages, by what the targets are, not by the counters that the planner sees."""
        found = []
        for index in range(len(self.stages)):
            states = [target.state for target in self.stage_targets(index)]
            found.append(counted(len(states), states))
        return found

    def failures(self, index: int) -> int:
        failed = sum(target.state.is_failure for target in self.stage_targets(index))
        return failed - self.stages[index].forgiven


class State:
    """Everything, as it stands."""

    def __init__(self, clusters: Sequence[Cluster]) -> None:
        self.now = EPOCH
        self.clusters = {cluster.id: cluster for cluster in clusters}
        self.rollouts: dict[UUID, Rollout] = {}
        self.quarantined: set[int] = set()
        self.newest = 0
        self.frozen_until = EPOCH
        self.lag_seconds = 0.0
        self.tokens = MemoryTokens(lambda: (self.now - EPOCH).total_seconds())

    def active(self) -> list[Rollout]:
        over = (RolloutState.ROLLING_BACK,)
        return [r for r in self.rollouts.values() if not r.state.is_over and r.state not in over]

    def last_good(self, cluster: Cluster, but: int) -> tuple[int, str] | None:
        found = [g for g in cluster.goods if g[0] not in self.quarantined and g[0] != but]
        return max(found, default=None)

    def freeze(self) -> Verdict:
        if self.now >= self.frozen_until:
            return OPEN
        spec = FreezeSpec(starts_at=EPOCH - timedelta(days=1), ends_at=self.frozen_until)
        return judge_windows(Windows((Window("freeze", spec),)), self.now)

    def stage(self, rollout: Rollout, index: int, **changes: datetime) -> None:
        rollout.stages[index] = replace(rollout.stages[index], **changes)  # type: ignore[arg-type] # times only

    def bucket(self, rollout: Rollout) -> Bucket:
        pace = rollout.strategy.pace
        rate = rollout.pacing.per_minute if rollout.pacing else pace.per_minute
        return Bucket(f"rollout:{rollout.id}", Rate(rate, pace.burst))
