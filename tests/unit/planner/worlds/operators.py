"""What operators do to the world: publish, roll back, resume, approve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import PaceMode, RolloutStrategy
from shared.domain.stages import Member, arrange
from shared.domain.way_back import Affected, goals_back, way_back
from shared.planner.pacing import begin
from shared.planner.view import StageView, TargetView
from tests.unit.planner.worlds.fleet import digest_of
from tests.unit.planner.worlds.state import Rollout
from tests.unit.planner.worlds.watch import Watched


class Operated(Watched):
    """A world with operators."""

    def publish(self, revision: int, strategy: RolloutStrategy) -> Rollout:
        self.newest = max(self.newest, revision)
        for rollout in self.active():
            if rollout.kind is not RolloutKind.ROLLBACK:
                rollout.state = RolloutState.SUPERSEDED
        members = [
            Member(c.id, c.name, {}, c.connected) for c in self.clusters.values() if not c.gone
        ]
        placed = arrange(strategy, members).placed
        goals = [
            (p.member.cluster_id, p.stage, revision, digest_of(revision), False) for p in placed
        ]
        return self._start(RolloutKind.PUBLISH, strategy, revision, goals, None)

    def roll_back(self, forward: Rollout, *, quarantine: bool = True) -> Rollout:
        if quarantine:
            self.quarantined.add(forward.revision)
        affected = [
            Affected(
                c.id,
                c.name,
                forward.revision,
                digest_of(forward.revision),
                forward.targets[c.id].stage if c.id in forward.targets else None,
                forward.targets[c.id].position if c.id in forward.targets else None,
                *(self.last_good(c, forward.revision) or (None, None)),
            )
            for c in self.clusters.values()
            if not c.gone
            and c.assigned is not None
            and c.assigned.revision == forward.revision
            and not c.assigned.absent
        ]
        goals = [
            (g.cluster_id, g.stage, g.revision, g.digest, g.absent)
            for g in goals_back(forward.strategy, affected)
        ]
        if not forward.state.is_over:
            forward.state = RolloutState.ROLLING_BACK
        return self._start(
            RolloutKind.ROLLBACK, way_back(forward.strategy), forward.revision, goals, forward.id
        )

    def one_click(self) -> None:
        running = [r for r in self.active() if r.kind is RolloutKind.ROLLBACK]
        forward = [r for r in self.rollouts.values() if r.revision == self.newest]
        if not running and forward and self.newest not in self.quarantined:
            self.roll_back(forward[-1])

    def resume(self, rollout: Rollout) -> None:
        if rollout.state is RolloutState.PAUSED:
            rollout.state = RolloutState.RUNNING
            rollout.stages = [replace(s, forgiven=s.failed) for s in rollout.stages]

    def approve(self, rollout: Rollout) -> None:
        if rollout.state is RolloutState.AWAITING_APPROVAL:
            first = next(s.index for s in rollout.stages if s.opened_at is None and s.total)
            self.stage(rollout, first, approved_at=self.now)
            rollout.state = RolloutState.RUNNING

    def _start(
        self,
        kind: RolloutKind,
        strategy: RolloutStrategy,
        revision: int,
        goals: Sequence[tuple[UUID, int, int, str, bool]],
        rollback_of: UUID | None,
    ) -> Rollout:
        rollout_id = UUID(int=len(self.rollouts) + 1)
        targets = {
            cluster_id: TargetView(
                cluster_id,
                self.clusters[cluster_id].name,
                stage,
                position,
                TargetState.TO_APPLY,
                digest,
                goal_absent=absent,
            )
            for position, (cluster_id, stage, _, digest, absent) in enumerate(goals)
        }
        stages = []
        for index, stage in enumerate(strategy.stages):
            total = sum(target.stage == index for target in targets.values())
            stages.append(StageView(index, stage.name, total, to_apply=total))
        rollout = Rollout(
            rollout_id,
            kind,
            strategy,
            revision,
            self.now,
            targets,
            {g[0]: (g[2], g[4]) for g in goals},
            stages,
            rollback_of=rollback_of,
            pacing=begin(strategy.pace, self.now)
            if strategy.pace.mode is PaceMode.ADAPTIVE
            else None,
        )
        self.rollouts[rollout_id] = rollout
        self.tokens.fill_now(self.bucket(rollout))
        return rollout
