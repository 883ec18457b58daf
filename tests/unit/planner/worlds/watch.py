"""The watch over the world: what breaks an invariant is noted under the invariant's number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import Approval, OnFailure
from shared.planner.target_waiting import target_waiting_for
from shared.planner.view import RolloutView, TargetView
from tests.unit.planner.worlds import budget_rule
from tests.unit.planner.worlds.fleet import Cluster
from tests.unit.planner.worlds.sight import seen_of
from tests.unit.planner.worlds.state import Rollout, State

OVER_BUDGET_STOPS = (OnFailure.ROLLBACK, OnFailure.PAUSE)


class Watched(State):
    """Everything, and what went wrong with it."""

    def __init__(self, clusters: Sequence[Cluster]) -> None:
        super().__init__(clusters)
        self.breaches: dict[int, list[str]] = defaultdict(list)
        self.releases: dict[UUID, list[datetime]] = defaultdict(list)
        self.heard_ready: set[tuple[UUID, UUID, str, int]] = set()

    def expect(self, invariant: int, holds: bool, otherwise: str) -> None:
        if not holds:
            self.breaches[invariant].append(otherwise)

    def check_pass(self, rollout: Rollout, index: int) -> None:
        unfinished = [
            t.cluster
            for t in rollout.stage_targets(index)
            if t.state is TargetState.TO_APPLY or t.state.is_in_flight
        ]
        self.expect(2, not unfinished, f"stage {index} passed without {unfinished}")

    def check_open(self, rollout: Rollout, index: int) -> None:
        """A target that comes back to a stage that has passed holds no later one up."""
        for earlier in rollout.stages[:index]:
            self.expect(2, bool(earlier.passed_at), f"stage {index} opened over {earlier.name}")
        if rollout.strategy.stages[index].approval is Approval.REQUIRED:
            self.expect(2, bool(rollout.stages[index].approved_at), "opened without approval")

    def check_release(
        self, rollout: Rollout, target: TargetView, revision: int, absent: bool
    ) -> None:
        self.expect(10, target.state is TargetState.TO_APPLY, f"{target.cluster} released twice")
        opened = rollout.stages[target.stage].opened_at is not None
        self.expect(2, opened, f"{target.cluster} released in a stage that is not open")
        self.expect(5, absent or revision not in self.quarantined, f"{revision} is quarantined")
        if rollout.kind is RolloutKind.ROLLBACK:
            good = self.last_good(self.clusters[target.cluster_id], rollout.revision)
            wanted = (good[0], False) if good else (revision, True)
            self.expect(6, (revision, absent) == wanted, f"{target.cluster} back to {revision}")
            return
        self.expect(12, self.now >= self.frozen_until, f"{target.cluster} released while frozen")
        if rollout.strategy.on_failure in OVER_BUDGET_STOPS:
            stages = rollout.counted()
            for index in range(len(stages)):
                borne = budget_rule.borne(rollout.strategy, stages, index)
                failed = rollout.failures(index)
                self.expect(3, failed <= borne, f"released after {failed} failures of {borne}")

    def check_places(self, rollout: Rollout, index: int) -> None:
        """After a release in the stage."""
        stages = rollout.counted()
        flying = sum(target.state.is_in_flight for target in rollout.stage_targets(index))
        if rollout.kind is RolloutKind.ROLLBACK:
            places = budget_rule.own_places(rollout.strategy, index, stages[index].total)
        else:
            places = budget_rule.places(rollout.strategy, stages, index)
        self.expect(1, flying <= places, f"{flying} of {places} in flight")

    def check_success(self, rollout: Rollout, target: TargetView) -> None:
        key = (target.cluster_id, rollout.id, target.goal_digest, target.generation or 0)
        self.expect(4, key in self.heard_ready, f"{target.cluster} was never ready at {key[3]}")

    def check_time_out(self, target: TargetView) -> None:
        """No deadline judges a cluster that is left alone."""
        until = self.clusters[target.cluster_id].not_now_until
        resting = until is not None and until > self.now
        self.expect(14, not resting, f"{target.cluster} timed out while it was left alone")

    def check_waiting(self, rollout: Rollout) -> None:
        quiet = rollout.state.is_over or rollout.state is RolloutState.ROLLING_BACK
        waiting = rollout.waiting_for
        self.expect(11, quiet or _is_said(waiting), f"{rollout.state} is mute")

    def check_targets_waiting(self, rollout: Rollout, view: RolloutView) -> None:
        """Invariant 11 for each target, at rest."""
        for target in rollout.in_state(*TargetState):
            said = target_waiting_for(view, seen_of(self, rollout, target), self.now)
            ended = target.state.is_failure or target.state is TargetState.SUCCEEDED
            never = target.state is TargetState.SKIPPED and said is None
            self.expect(11, ended or never or _is_said(said), f"{target.cluster} is mute")
            self.expect(11, said is None or not ended, f"{target.cluster} is done and waits")

    def check_rate(self, rollout: Rollout) -> None:
        if rollout.pacing is not None:
            pace, rate = rollout.strategy.pace, rollout.pacing.per_minute
            self.expect(13, pace.floor <= rate <= pace.per_minute, f"{rate} a minute")

    def check_pace(self) -> None:
        """Invariant 9, over every window that begins and ends with a release."""
        for rollout_id, times in self.releases.items():
            pace = self.rollouts[rollout_id].strategy.pace
            for i, start in enumerate(times):
                for j in range(i, len(times)):
                    window = (times[j] - start).total_seconds()
                    most = pace.per_minute / 60 * window + pace.burst
                    self.expect(9, j - i + 1 <= most + 1e-6, f"{j - i + 1} in {window} s")

    def check_ended(self) -> None:
        """Invariants 6 and 11, once nothing is in the way any more."""
        for rollout in self.rollouts.values():
            back = rollout.kind is RolloutKind.ROLLBACK
            said = rollout.waiting_for.message if rollout.waiting_for else "nothing"
            stuck = f"{rollout.kind} is {rollout.state} and waits for {said}"
            if back:
                self.expect(6, rollout.state.is_over, stuck)
                for cluster in (self.clusters[cluster_id] for cluster_id in rollout.targets):
                    by = cluster.assigned.rollout_id if cluster.assigned else None
                    moved = cluster.gone or (by is not None and by >= rollout.id)
                    self.expect(6, moved, f"{cluster.name} was not taken back")
            else:
                self.expect(11, rollout.state.is_over, stuck)


def _is_said(waiting: WaitingFor | None) -> bool:
    """What is waited for, since when, and what ends it."""
    return waiting is not None and all((waiting.message, waiting.since, waiting.ends_when))
