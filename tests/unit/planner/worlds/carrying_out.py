"""Carrying decisions out, without any of the guards that the SQL has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from shared.contract.states import RolloutState, TargetState
from shared.planner.decisions import (
    AwaitApproval,
    Decision,
    End,
    MoveTarget,
    OpenStage,
    PassStage,
    Pause,
    Regoal,
    Release,
    Revert,
    RollBack,
    SetPace,
    Start,
)
from shared.simulation.acts import moved, released
from tests.unit.planner.worlds.fleet import Assigned, Cluster
from tests.unit.planner.worlds.operators import Operated
from tests.unit.planner.worlds.state import Rollout


class Acting(Operated):
    """A world in which decisions are carried out."""

    def carry_out(self, rollout: Rollout, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Start():
                    rollout.state = RolloutState.RUNNING
                case MoveTarget():
                    self._move(rollout, decision)
                case Revert():
                    self._revert(rollout, decision)
                case Regoal():
                    self._regoal(rollout, decision)
                case PassStage():
                    self.check_pass(rollout, decision.stage)
                    self.stage(rollout, decision.stage, passed_at=self.now)
                case OpenStage():
                    self.check_open(rollout, decision.stage)
                    self.stage(rollout, decision.stage, opened_at=self.now)
                case AwaitApproval():
                    rollout.state = RolloutState.AWAITING_APPROVAL
                case Release():
                    for cluster_id in decision.clusters:
                        self._release(rollout, cluster_id)
                case SetPace():
                    self.expect(13, decision.was != decision.per_minute, "a change of nothing")
                case Pause():
                    rollout.state = RolloutState.PAUSED
                case RollBack():
                    self.roll_back(rollout, quarantine=decision.quarantine)
                case End():
                    self._end(rollout, decision)

    def _move(self, rollout: Rollout, move: MoveTarget) -> None:
        target = rollout.targets[move.cluster_id]
        cluster = self.clusters[move.cluster_id]
        if move.becomes is TargetState.SUCCEEDED:
            self.check_success(rollout, target)
            if not target.goal_absent:
                cluster.goods.append((rollout.goals[cluster.id][0], target.goal_digest))
        if move.becomes is TargetState.TIMED_OUT:
            self.check_time_out(target)
        rollout.targets[move.cluster_id] = moved(target, move)
        rollout.stages[target.stage] = rollout.stages[target.stage].moved(
            target.state, move.becomes
        )

    def _release(self, rollout: Rollout, cluster_id: UUID) -> None:
        target = rollout.targets[cluster_id]
        cluster = self.clusters[cluster_id]
        revision, absent = rollout.goals[cluster_id]
        self.check_release(rollout, target, revision, absent)
        self._assign(cluster, revision, target.goal_digest, absent, rollout.id)
        assert cluster.assigned is not None
        rollout.targets[cluster_id] = released(target, cluster.assigned.generation, self.now)
        rollout.stages[target.stage] = rollout.stages[target.stage].moved(
            target.state, TargetState.RELEASED
        )
        self.releases[rollout.id].append(self.now)
        self.check_places(rollout, target.stage)

    def _assign(
        self, cluster: Cluster, revision: int, digest: str, absent: bool, rollout_id: UUID
    ) -> None:
        generation = cluster.assigned.generation + 1 if cluster.assigned else 1
        cluster.assigned = Assigned(revision, digest, absent, generation, rollout_id)

    def _revert(self, rollout: Rollout, decision: Revert) -> None:
        cluster = self.clusters[decision.cluster_id]
        rollout.reverted.add(cluster.id)
        assert cluster.assigned is not None
        good = self.last_good(cluster, rollout.revision)
        if cluster.assigned.rollout_id == rollout.id:
            revision, digest = good or (cluster.assigned.revision, cluster.assigned.digest)
            self._assign(cluster, revision, digest, good is None, rollout.id)

    def _regoal(self, rollout: Rollout, decision: Regoal) -> None:
        cluster = self.clusters[decision.cluster_id]
        target = rollout.targets[cluster.id]
        good = self.last_good(cluster, rollout.revision)
        revision, digest = good or (rollout.goals[cluster.id][0], target.goal_digest)
        rollout.goals[cluster.id] = (revision, good is None)
        rollout.targets[cluster.id] = replace(target, goal_digest=digest, goal_absent=good is None)

    def _end(self, rollout: Rollout, decision: End) -> None:
        rollout.state = decision.state
        if rollout.rollback_of is not None:
            forward = self.rollouts[rollout.rollback_of]
            if forward.state is RolloutState.ROLLING_BACK:
                succeeded = decision.state is RolloutState.SUCCEEDED
                forward.state = RolloutState.ROLLED_BACK if succeeded else RolloutState.FAILED
