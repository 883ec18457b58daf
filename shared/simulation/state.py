"""One simulated rollout: its targets, its counters, and the views that the planner is given of it.

Views are as bounded as the pacer's: a look costs what may change, not what there is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import ExtensionPhase, RolloutKind, RolloutState, TargetState
from shared.contract.strategy import PaceMode, RolloutStrategy
from shared.domain.goals import Goal
from shared.planner.limits import limits
from shared.planner.pacing import Pacing, Pressure, begin
from shared.planner.targets import deadline
from shared.planner.view import GivenUp, Reach, Report, RolloutView, StageView, TargetView
from shared.planner.windows import OPEN, Verdict
from shared.simulation.fleet import SimulatedCluster

BATCH: Final = 2_000
CANDIDATES: Final = 200
"""Of each stage in one look: tokens are fewer mostly, and another look follows at once."""


@dataclass
class Running:
    """A rollout under way."""

    rollout_id: UUID
    kind: RolloutKind
    strategy: RolloutStrategy
    revision: int
    created_at: datetime
    clusters: dict[UUID, SimulatedCluster]
    targets: dict[UUID, TargetView]
    stages: list[StageView]
    state: RolloutState = RolloutState.PENDING
    pacing: Pacing | None = None
    waiting_for: WaitingFor | None = None
    reverted: set[UUID] = field(default_factory=set)
    got_it: set[UUID] = field(default_factory=set)
    _waiting: list[dict[UUID, None]] = field(default_factory=list)
    """For each stage the targets to release on clusters that can act, in order."""
    _out_of_reach: dict[UUID, None] = field(default_factory=dict)
    _due: list[tuple[datetime, int, UUID]] = field(default_factory=list)
    """When something about a target in flight may change."""

    @classmethod
    def start(
        cls,
        rollout_id: UUID,
        kind: RolloutKind,
        strategy: RolloutStrategy,
        revision: int,
        goals: Sequence[Goal],
        clusters: dict[UUID, SimulatedCluster],
        now: datetime,
    ) -> Running:
        """A rollout that is about to be looked at for the first time."""
        totals = [0] * len(strategy.stages)
        for goal in goals:
            totals[goal.stage] += 1
        stages = [
            StageView(index, stage.name, totals[index], to_apply=totals[index])
            for index, stage in enumerate(strategy.stages)
        ]
        targets = {
            goal.cluster_id: _target(goal, clusters[goal.cluster_id].reach) for goal in goals
        }
        pacing = begin(strategy.pace, now) if strategy.pace.mode is PaceMode.ADAPTIVE else None
        made = cls(
            rollout_id, kind, strategy, revision, now, clusters, targets, stages, pacing=pacing
        )
        made._waiting = [{} for _ in stages]
        for target in sorted(targets.values(), key=lambda one: one.position):
            made._queue(target, now)
        return made

    @property
    def is_under_way(self) -> bool:
        """False once it is over, or has given way to its rollback."""
        return not self.state.is_over and self.state is not RolloutState.ROLLING_BACK

    def view(self, now: datetime, freeze: Verdict, behind: UUID | None) -> RolloutView:
        """What the planner is told at `now`."""
        back = self.kind is RolloutKind.ROLLBACK
        self._let_return(now)
        stages = tuple(self.stages)
        due = tuple(self._seen(cluster_id, now) for cluster_id in self._due_by(now))
        return RolloutView(
            self.rollout_id,
            self.kind,
            self.state,
            self.strategy,
            self.created_at,
            stages,
            behind=behind,
            freeze=OPEN if back else freeze,
            waiting_for=self.waiting_for,
            pacing=self.pacing,
            pressure=Pressure(in_flight=sum(stage.in_flight for stage in stages)),
            in_flight=due,
            candidates=tuple(self._candidates(stages, len(due))),
            unreachable=() if back else tuple(self._unreachable(stages)),
            returned=() if back else tuple(self._returned(stages, now)),
        )

    def _let_return(self, now: datetime) -> None:
        """Clusters that can act again before their stage was open take their places."""
        for cluster_id in list(self._out_of_reach):
            target = self.targets[cluster_id]
            if target.state is TargetState.TO_APPLY and target.reach.can_act(now):
                self._queue(target, now)

    def _due_by(self, now: datetime) -> Iterable[UUID]:
        """Each target at most once; what does not move is asked again at its next moment."""
        found: dict[UUID, None] = {}
        while self._due and self._due[0][0] <= now and len(found) < BATCH:
            cluster_id = heapq.heappop(self._due)[2]
            if self.targets[cluster_id].state.is_in_flight:
                found[cluster_id] = None
        return found

    def _candidates(self, stages: Sequence[StageView], leaving: int) -> Iterable[TargetView]:
        for stage, waiting in zip(stages, self._waiting, strict=True):
            if stage.opened_at is not None and waiting:
                places = limits(self.kind, self.strategy, stages, stage.index).concurrent
                free = max(0, min(places - stage.in_flight + leaving, places, CANDIDATES))
                yield from (self.targets[cluster_id] for cluster_id in islice(waiting, free))

    def _unreachable(self, stages: Sequence[StageView]) -> Iterable[TargetView]:
        targets = (self.targets[cluster_id] for cluster_id in self._out_of_reach)
        opened = {stage.index for stage in stages if stage.opened_at is not None}
        return islice(
            (t for t in targets if t.state is TargetState.TO_APPLY and t.stage in opened), BATCH
        )

    def _returned(self, stages: Sequence[StageView], now: datetime) -> Iterable[TargetView]:
        targets = (self.targets[cluster_id] for cluster_id in self._out_of_reach)
        opened = {stage.index for stage in stages if stage.opened_at is not None}
        return (
            t
            for t in targets
            if t.state is TargetState.SKIPPED and t.stage in opened and t.reach.can_act(now)
        )

    def _seen(self, cluster_id: UUID, now: datetime) -> TargetView:
        """With the report that the cluster has sent by now, if it has."""
        target, cluster = self.targets[cluster_id], self.clusters[cluster_id]
        released = target.released_at or now
        done_at = released + cluster.apply_time
        if now < done_at or not target.reach.can_act(now):
            return target
        generation = target.generation or 0
        if cluster.fails and self.kind is not RolloutKind.ROLLBACK:
            given_up = GivenUp(generation, ReasonCode.UPGRADE_FAILED, "simulated failure")
            return replace(target, given_up=given_up)
        phase = ExtensionPhase.REMOVED if target.goal_absent else ExtensionPhase.READY
        report = Report(
            self.rollout_id,
            target.goal_digest,
            generation,
            phase,
            ReasonCode.UPGRADE_SUCCEEDED,
            ready_since=done_at,
        )
        return replace(target, report=report)

    def put(self, target: TargetView, now: datetime) -> None:
        """Replace a target; counters, queues and the moments to look at follow."""
        before = self.targets[target.cluster_id]
        stage = self.stages[target.stage]
        self.stages[target.stage] = stage.moved(before.state, target.state)
        self.targets[target.cluster_id] = target
        if target.state is TargetState.TO_APPLY:
            self._queue(target, now)
        else:
            self._waiting[target.stage].pop(target.cluster_id, None)
        if target.state.is_in_flight:
            self._expect(target, now)
        elif target.state is TargetState.SKIPPED and not target.reach.connected:
            self._out_of_reach.pop(target.cluster_id, None)  # nobody returns in a simulation

    def _queue(self, target: TargetView, now: datetime) -> None:
        if self.kind is RolloutKind.ROLLBACK or target.reach.can_act(now):
            self._out_of_reach.pop(target.cluster_id, None)
            self._waiting[target.stage][target.cluster_id] = None
        else:
            self._out_of_reach[target.cluster_id] = None

    def _expect(self, target: TargetView, now: datetime) -> None:
        """When the target will have reported, soaked, or run out of time."""
        cluster = self.clusters[target.cluster_id]
        view = _asked(self)
        if target.state is TargetState.VERIFYING and target.ready_since is not None:
            moment = target.ready_since + self.strategy.stages[target.stage].soak
        else:
            last = deadline(view, target)
            done_at = (target.released_at or now) + cluster.apply_time
            moment = min(done_at, last) if target.reach.can_act(now) else last
        heapq.heappush(self._due, (moment, target.position, target.cluster_id))

    def next_moment(self, now: datetime) -> datetime | None:
        """When time alone changes something about a target."""
        moments = [self._due[0][0]] if self._due else []
        for target in (self.targets[cluster_id] for cluster_id in self._out_of_reach):
            if target.reach.not_now_until is not None and target.reach.not_now_until > now:
                moments.append(target.reach.not_now_until)
            silent = target.reach.silent_since
            if target.state is TargetState.TO_APPLY and silent is not None:
                moments.append(silent + self.strategy.offline.after)
        return min((moment for moment in moments if moment > now), default=None)


def _target(goal: Goal, reach: Reach) -> TargetView:
    return TargetView(
        goal.cluster_id,
        goal.cluster,
        goal.stage,
        goal.position,
        TargetState.TO_APPLY,
        goal.digest,
        goal_absent=goal.absent,
        reach=reach,
    )


def _asked(running: Running) -> RolloutView:
    """The rollout as `deadline` asks for it."""
    return RolloutView(
        running.rollout_id,
        running.kind,
        running.state,
        running.strategy,
        running.created_at,
        (),
    )
