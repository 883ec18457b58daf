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
from shared.simulation.fleet import SimulatedCluster, Underway
from shared.simulation.queues import Queues

BATCH: Final = 2_000
CANDIDATES: Final = 200
"""Of each stage in one look: tokens are fewer mostly, and another look follows at once."""
LACKING: Final = 4
"""Held targets of each stage that a look is told of: for the words."""


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
    _due: list[tuple[datetime, int, UUID]] = field(default_factory=list)
    """When something about a target in flight may change."""
    queues: Queues = field(init=False)

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
        for target in targets.values():
            made.queues.put(target, now)
        return made

    @classmethod
    def resume(
        cls,
        rollout_id: UUID,
        strategy: RolloutStrategy,
        revision: int,
        underway: Underway,
        clusters: dict[UUID, SimulatedCluster],
        now: datetime,
    ) -> Running:
        """A rollout that goes on from where it stands."""
        made = cls(
            rollout_id,
            underway.kind,
            strategy,
            revision,
            underway.created_at,
            clusters,
            {target.cluster_id: target for target in underway.targets},
            [replace(stage, first_release=None, first_ready=None) for stage in underway.stages],
            underway.state,
            underway.pacing,
        )
        for target in underway.targets:
            if target.state is TargetState.TO_APPLY:
                made.queues.put(target, now)
            elif target.state.is_in_flight:
                made.got_it.add(target.cluster_id)
                made._expect(target, now)
            elif target.state is TargetState.SKIPPED and target.reach.connected:
                made.queues.out_of_reach[target.cluster_id] = None
        return made

    def __post_init__(self) -> None:
        back = self.kind is RolloutKind.ROLLBACK
        self.queues = Queues.of_stages(len(self.stages), self.clusters, self.targets, anyone=back)

    @property
    def is_under_way(self) -> bool:
        """False once it is over, or has given way to its rollback."""
        return not self.state.is_over and self.state is not RolloutState.ROLLING_BACK

    def view(self, now: datetime, freeze: Verdict, behind: UUID | None) -> RolloutView:
        """What the planner is told at `now`."""
        back = self.kind is RolloutKind.ROLLBACK
        self.queues.let_in(now)
        stages = tuple(self.stages)
        opened = [stage.index for stage in stages if stage.opened_at is not None]
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
            lacking=tuple(self.queues.lacking(opened, LACKING, now)),
            unreachable=()
            if back
            else tuple(islice(self.queues.away(opened, TargetState.TO_APPLY), BATCH)),
            returned=()
            if back
            else tuple(
                target
                for target in self.queues.away(opened, TargetState.SKIPPED)
                if target.reach.can_act(now)
            ),
        )

    def _due_by(self, now: datetime) -> Iterable[UUID]:
        """Each target at most once; what does not move is asked again at its next moment."""
        found: dict[UUID, None] = {}
        while self._due and self._due[0][0] <= now and len(found) < BATCH:
            cluster_id = heapq.heappop(self._due)[2]
            if self.targets[cluster_id].state.is_in_flight:
                found[cluster_id] = None
        return found

    def _candidates(self, stages: Sequence[StageView], leaving: int) -> Iterable[TargetView]:
        for stage in stages:
            if stage.opened_at is not None and self.queues.in_line[stage.index]:
                places = limits(self.kind, self.strategy, stages, stage.index).concurrent
                free = max(0, min(places - stage.in_flight + leaving, places, CANDIDATES))
                yield from self.queues.first(stage.index, free)

    @property
    def could_release(self) -> bool:
        """Some target is in line in a stage that is open: a freeze's end would let it go."""
        return self.state is not RolloutState.PAUSED and any(
            stage.opened_at is not None and self.queues.in_line[stage.index]
            for stage in self.stages
        )

    @property
    def held(self) -> int:
        """Targets of open stages whose cluster lacks another extension."""
        return sum(
            len(self.queues.held[stage.index])
            for stage in self.stages
            if stage.opened_at is not None
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
            self.queues.put(target, now)
            return
        self.queues.leave(target)
        if target.state.is_in_flight:
            self._expect(target, now)
        elif target.state is TargetState.SKIPPED and target.reach.connected:
            self.queues.out_of_reach[target.cluster_id] = None  # the silent ones stay silent

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
        moments = (
            self._due[0][0] if self._due else None,
            self.queues.next_moment(now, self.strategy.offline.after),
        )
        return min((at for at in moments if at is not None and at > now), default=None)


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
