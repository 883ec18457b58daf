"""A small world in memory that the planner acts on: clusters, agents, reports, pacers, faults.

Carrying decisions out is written here a second time, without any of the guards that the SQL has, so
that only the planner stands between a fault and a breach. Every act is watched: what breaks an
invariant of design/rollouts.md is noted in `breaches` under the invariant's number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.contract.freeze import FreezeSpec
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import ExtensionPhase, RolloutKind, RolloutState, TargetState
from shared.contract.status import StatusEvent
from shared.contract.strategy import Approval, OnFailure, PaceMode, RolloutStrategy
from shared.domain import observation
from shared.domain.observation import Desired, Observed
from shared.domain.stages import Member, arrange
from shared.domain.way_back import Affected, goals_back, way_back
from shared.pacing.gcra import Rate
from shared.pacing.memory import MemoryTokens
from shared.pacing.source import Bucket
from shared.planner import grant, limits
from shared.planner import plan as planning
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
from shared.planner.pacing import Pacing, Pressure, begin
from shared.planner.target_waiting import target_waiting_for
from shared.planner.view import GivenUp, Reach, Report, RolloutView, StageView, TargetView
from shared.planner.waiting import paced
from shared.planner.windows import OPEN, Verdict, Window, Windows, judge_windows

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 2
"""Small, so that looks that see only part of the targets are the rule here."""
OVER_BUDGET_STOPS = (OnFailure.ROLLBACK, OnFailure.PAUSE)
_UNSETTLED = tuple(state for state in TargetState if state is not TargetState.SUCCEEDED)
"""What a look may be about: nothing happens any more to targets that succeeded."""


def digest_of(revision: int) -> str:
    return f"sha256:{revision:064x}"


def event_of(assigned: Assigned, phase: ExtensionPhase, sequence: int) -> StatusEvent:
    return StatusEvent.model_construct(
        sequence=sequence,
        extension="app",
        phase=phase,
        revision=assigned.revision,
        spec_digest=assigned.digest,
        rollout_id=assigned.rollout_id,
        observed_generation=assigned.generation,
        reason=ReasonCode.PROGRESSING,
        message="",
        conditions=(),
    )


@dataclass(frozen=True)
class Assigned:
    """What a cluster should run."""

    revision: int
    digest: str
    absent: bool
    generation: int
    rollout_id: UUID


@dataclass
class Cluster:
    """A cluster with its agent."""

    id: UUID
    name: str
    bad: frozenset[int] = frozenset()
    """Revisions that fail here."""
    mute: frozenset[int] = frozenset()
    """Revisions of which it never says more than that it began."""
    connected: bool = True
    silent_since: datetime | None = None
    not_now_until: datetime | None = None
    gone: bool = False
    epoch: int = 1
    sequence: int = 0
    assigned: Assigned | None = None
    observed: Observed = field(default_factory=Observed)
    report: StatusEvent | None = None
    goods: list[tuple[int, str]] = field(default_factory=list)
    journal: list[StatusEvent] = field(default_factory=list)
    delivered: list[tuple[int, StatusEvent]] = field(default_factory=list)
    said: dict[int, ExtensionPhase] = field(default_factory=dict)
    """Generation -> what the agent said of it last."""

    def say(self, phase: ExtensionPhase) -> None:
        assert self.assigned is not None
        self.sequence += 1
        self.said[self.assigned.generation] = phase
        self.journal.append(event_of(self.assigned, phase, self.sequence))

    def act(self, now: datetime) -> bool:
        """One step of the agent; True when there was something to do."""
        resting = self.not_now_until is not None and self.not_now_until > now
        if self.assigned is None or not self.connected or self.gone or resting:
            return False
        last = self.said.get(self.assigned.generation)
        if last is None:
            self.say(ExtensionPhase.APPLYING)
            return True
        if last is not ExtensionPhase.APPLYING:
            return False
        if self.assigned.absent:
            self.say(ExtensionPhase.REMOVED)
        elif self.assigned.revision in self.mute:
            return False
        elif self.assigned.revision in self.bad:
            self.say(ExtensionPhase.FAILED)
        else:
            self.say(ExtensionPhase.READY)
        return True


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

    def failures(self, index: int) -> int:
        failed = sum(target.state.is_failure for target in self.stage_targets(index))
        return failed - self.stages[index].forgiven


class World:
    """Everything, and what went wrong with it."""

    def __init__(self, clusters: Sequence[Cluster]) -> None:
        self.now = EPOCH
        self.clusters = {cluster.id: cluster for cluster in clusters}
        self.rollouts: dict[UUID, Rollout] = {}
        self.quarantined: set[int] = set()
        self.newest = 0
        self.frozen_until = EPOCH
        self.lag_seconds = 0.0
        self.tokens = MemoryTokens(lambda: (self.now - EPOCH).total_seconds())
        self.breaches: dict[int, list[str]] = defaultdict(list)
        self.releases: dict[UUID, list[datetime]] = defaultdict(list)
        self.heard_ready: set[tuple[UUID, UUID, str, int]] = set()

    # what operators do

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
            self._stage(rollout, first, approved_at=self.now)
            rollout.state = RolloutState.RUNNING

    def active(self) -> list[Rollout]:
        over = (RolloutState.ROLLING_BACK,)
        return [r for r in self.rollouts.values() if not r.state.is_over and r.state not in over]

    def last_good(self, cluster: Cluster, but: int) -> tuple[int, str] | None:
        found = [g for g in cluster.goods if g[0] not in self.quarantined and g[0] != but]
        return max(found, default=None)

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
        self.tokens.fill_now(self._bucket(rollout))
        return rollout

    # what agents and the network do

    def receive(self, cluster: Cluster, epoch: int, event: StatusEvent) -> None:
        """A report arrives in a session; one of an older session is refused."""
        if epoch < cluster.epoch or cluster.gone:
            return
        assigned = cluster.assigned
        if assigned is None:
            return
        desired = Desired(assigned.rollout_id, assigned.digest, assigned.generation)
        before = cluster.observed
        cluster.observed = observation.observe(desired, before, event, epoch, self.now)
        if cluster.observed.event is not before.event:
            cluster.report = cluster.observed.event
        cluster.delivered.append((epoch, event))
        if event.phase in (ExtensionPhase.READY, ExtensionPhase.REMOVED):
            self.heard_ready.add(
                (cluster.id, event.rollout_id, event.spec_digest, event.observed_generation)
            )

    # what the pacer does

    def passes(self, rollout: Rollout) -> Iterator[bool]:
        """The pacer's passes over one rollout, one commit each; True when one changed something."""
        tokens: int | None = None
        for _ in range(24):
            if rollout.state.is_over or rollout.state is RolloutState.ROLLING_BACK:
                return
            view = self.view(rollout)
            planned = planning.plan(view, self.now)
            decisions = grant.granted(planned.decisions, tokens or 0)
            self._carry_out(rollout, decisions)
            rollout.waiting_for, rollout.look_again_at = planned.waiting_for, planned.look_again_at
            rollout.pacing = planned.pacing or rollout.pacing
            self._check_rate(rollout)
            missing = grant.wanted(planned.decisions) - grant.wanted(decisions)
            if missing and tokens is not None and not tokens:
                again = self.now + timedelta(seconds=1)
                rollout.waiting_for = paced(view, missing, planned.pacing, self.now, again)
            self._check_waiting(rollout)
            if not decisions:
                said = replace(view, waiting_for=rollout.waiting_for, pacing=rollout.pacing)
                self._check_targets_waiting(rollout, said)
            yield bool(decisions)
            if missing:
                if tokens is not None and not tokens:
                    return
                tokens = self.tokens.take_now([self._bucket(rollout)], missing).count
            elif len(view.candidates) >= 2 * BATCH or any(
                not isinstance(decision, Release) for decision in decisions
            ):
                tokens = None
            else:
                return

    def tick(self, crash_after: int | None = None) -> bool:
        """One pacer over every rollout; `crash_after` commits it dies, before the next one."""
        changed = False
        commits = 0
        for rollout in list(self.active()):
            for did in self.passes(rollout):
                changed = changed or did
                commits += 1
                if crash_after is not None and commits > crash_after:
                    return changed
        return changed

    def tick_twice(self) -> None:
        """Two pacers at once, pass by pass in turn."""
        for rollout in list(self.active()):
            running = [self.passes(rollout), self.passes(rollout)]
            while running:
                running = [one for one in running if next(one, None) is not None]

    def view(self, rollout: Rollout) -> RolloutView:
        back = rollout.kind is RolloutKind.ROLLBACK
        seen = [self._seen(rollout, t) for t in rollout.in_state(*_UNSETTLED)]
        stages = _with_oldest(rollout.stages, seen)
        opened = {s.index for s in stages if s.opened_at is not None}
        waiting = [t for t in seen if t.state is TargetState.TO_APPLY and t.stage in opened]
        able = [t for t in waiting if not t.reach.gone and (back or t.reach.can_act(self.now))]
        behind = [r.id for r in self.active() if r.kind is RolloutKind.ROLLBACK and not back]
        view = RolloutView(
            rollout.id,
            rollout.kind,
            rollout.state,
            rollout.strategy,
            rollout.created_at,
            stages,
            quarantined=not back and rollout.revision in self.quarantined,
            behind=behind[0] if behind else None,
            freeze=OPEN if back else self.freeze(),
            waiting_for=rollout.waiting_for,
            pacing=rollout.pacing,
            pressure=Pressure(lag_seconds=self.lag_seconds),
            candidates=tuple(able[: 2 * BATCH]),
            unreachable=tuple([t for t in waiting if t not in able][:BATCH]),
            returned=tuple(
                t
                for t in seen
                if t.state is TargetState.SKIPPED
                and t.stage in opened
                and t.reach.can_act(self.now)
            )[:BATCH],
            unreverted=tuple(
                t for t in seen if t.state.is_failure and t.cluster_id not in rollout.reverted
            )[:BATCH],
        )
        flying = (t for t in seen if t.state.is_in_flight)
        moving = [t for t in flying if planning.judge(view, t, self.now)]
        return replace(view, in_flight=tuple(moving[:BATCH]))

    def freeze(self) -> Verdict:
        if self.now >= self.frozen_until:
            return OPEN
        spec = FreezeSpec(starts_at=EPOCH - timedelta(days=1), ends_at=self.frozen_until)
        return judge_windows(Windows((Window("freeze", spec),)), self.now)

    def _seen(self, rollout: Rollout, target: TargetView) -> TargetView:
        cluster = self.clusters[target.cluster_id]
        event, observed = cluster.report, cluster.observed
        goal, absent = rollout.goals[target.cluster_id]
        return TargetView(
            target.cluster_id,
            target.cluster,
            target.stage,
            target.position,
            target.state,
            target.goal_digest,
            target.goal_absent,
            not absent and goal in self.quarantined,
            generation=target.generation,
            released_at=target.released_at,
            ready_since=target.ready_since,
            skip_reason=target.skip_reason,
            reach=Reach(
                cluster.connected, cluster.silent_since, cluster.not_now_until, cluster.gone
            ),
            report=Report(
                event.rollout_id,
                event.spec_digest,
                event.observed_generation,
                event.phase,
                event.reason,
                ready_since=observed.ready_since,
            )
            if event
            else None,
            given_up=GivenUp(observed.failed_generation, ReasonCode.UPGRADE_FAILED)
            if observed.failed_generation is not None
            else None,
        )

    # carrying out

    def _carry_out(self, rollout: Rollout, decisions: Sequence[Decision]) -> None:
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
                    self._check_pass(rollout, decision.stage)
                    self._stage(rollout, decision.stage, passed_at=self.now)
                case OpenStage():
                    self._check_open(rollout, decision.stage)
                    self._stage(rollout, decision.stage, opened_at=self.now)
                case AwaitApproval():
                    rollout.state = RolloutState.AWAITING_APPROVAL
                case Release():
                    for cluster_id in decision.clusters:
                        self._release(rollout, cluster_id)
                case SetPace():
                    self._expect(13, decision.was != decision.per_minute, "a change of nothing")
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
            self._check_success(rollout, target)
            if not target.goal_absent:
                cluster.goods.append((rollout.goals[cluster.id][0], target.goal_digest))
        again = move.becomes is TargetState.TO_APPLY
        rollout.targets[move.cluster_id] = replace(
            target,
            state=move.becomes,
            skip_reason=move.skip_reason,
            ready_since=move.ready_since,
            generation=None if again else target.generation,
            released_at=None if again else target.released_at,
        )
        rollout.stages[target.stage] = rollout.stages[target.stage].moved(
            target.state, move.becomes
        )

    def _release(self, rollout: Rollout, cluster_id: UUID) -> None:
        target = rollout.targets[cluster_id]
        cluster = self.clusters[cluster_id]
        revision, absent = rollout.goals[cluster_id]
        self._check_release(rollout, target, revision, absent)
        self._assign(cluster, revision, target.goal_digest, absent, rollout.id)
        assert cluster.assigned is not None
        rollout.targets[cluster_id] = replace(
            target,
            state=TargetState.RELEASED,
            generation=cluster.assigned.generation,
            released_at=self.now,
            ready_since=None,
        )
        rollout.stages[target.stage] = rollout.stages[target.stage].moved(
            target.state, TargetState.RELEASED
        )
        self.releases[rollout.id].append(self.now)
        flying = sum(t.state.is_in_flight for t in rollout.stage_targets(target.stage))
        places = limits.count_of(
            rollout.strategy.stages[target.stage].max_concurrent, rollout.stages[target.stage].total
        )
        self._expect(1, flying <= max(1, places), f"{flying} of {places} in flight")

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

    def _stage(self, rollout: Rollout, index: int, **changes: datetime) -> None:
        rollout.stages[index] = replace(rollout.stages[index], **changes)  # type: ignore[arg-type] # times only

    # the watch

    def _expect(self, invariant: int, holds: bool, otherwise: str) -> None:
        if not holds:
            self.breaches[invariant].append(otherwise)

    def _check_pass(self, rollout: Rollout, index: int) -> None:
        unfinished = [
            t.cluster
            for t in rollout.stage_targets(index)
            if t.state is TargetState.TO_APPLY or t.state.is_in_flight
        ]
        self._expect(2, not unfinished, f"stage {index} passed without {unfinished}")

    def _check_open(self, rollout: Rollout, index: int) -> None:
        """A target that comes back to a stage that has passed holds no later one up."""
        for earlier in rollout.stages[:index]:
            self._expect(2, bool(earlier.passed_at), f"stage {index} opened over {earlier.name}")
        if rollout.strategy.stages[index].approval is Approval.REQUIRED:
            self._expect(2, bool(rollout.stages[index].approved_at), "opened without approval")

    def _check_release(
        self, rollout: Rollout, target: TargetView, revision: int, absent: bool
    ) -> None:
        self._expect(10, target.state is TargetState.TO_APPLY, f"{target.cluster} released twice")
        opened = rollout.stages[target.stage].opened_at is not None
        self._expect(2, opened, f"{target.cluster} released in a stage that is not open")
        self._expect(5, absent or revision not in self.quarantined, f"{revision} is quarantined")
        if rollout.kind is RolloutKind.ROLLBACK:
            good = self.last_good(self.clusters[target.cluster_id], rollout.revision)
            wanted = (good[0], False) if good else (revision, True)
            self._expect(6, (revision, absent) == wanted, f"{target.cluster} back to {revision}")
            return
        self._expect(12, self.now >= self.frozen_until, f"{target.cluster} released while frozen")
        if rollout.strategy.on_failure in OVER_BUDGET_STOPS:
            for stage in rollout.stages:
                own = limits.declared(rollout.strategy, stage.index, stage.total).failures
                failed = rollout.failures(stage.index)
                self._expect(3, failed <= own, f"released after {failed} failures of {own}")

    def _check_success(self, rollout: Rollout, target: TargetView) -> None:
        key = (target.cluster_id, rollout.id, target.goal_digest, target.generation or 0)
        self._expect(4, key in self.heard_ready, f"{target.cluster} was never ready at {key[3]}")

    def _check_waiting(self, rollout: Rollout) -> None:
        quiet = rollout.state.is_over or rollout.state is RolloutState.ROLLING_BACK
        waiting = rollout.waiting_for
        self._expect(11, quiet or _is_said(waiting), f"{rollout.state} is mute")

    def _check_targets_waiting(self, rollout: Rollout, view: RolloutView) -> None:
        """Invariant 11 for each target, at rest."""
        for target in rollout.in_state(*TargetState):
            said = target_waiting_for(view, self._seen(rollout, target), self.now)
            ended = target.state.is_failure or target.state is TargetState.SUCCEEDED
            never = target.state is TargetState.SKIPPED and said is None
            self._expect(11, ended or never or _is_said(said), f"{target.cluster} is mute")
            self._expect(11, said is None or not ended, f"{target.cluster} is done and waits")

    def _check_rate(self, rollout: Rollout) -> None:
        if rollout.pacing is not None:
            pace, rate = rollout.strategy.pace, rollout.pacing.per_minute
            self._expect(13, pace.floor <= rate <= pace.per_minute, f"{rate} a minute")

    def check_pace(self) -> None:
        """Invariant 9, over every window that begins and ends with a release."""
        for rollout_id, times in self.releases.items():
            pace = self.rollouts[rollout_id].strategy.pace
            for i, start in enumerate(times):
                for j in range(i, len(times)):
                    window = (times[j] - start).total_seconds()
                    most = pace.per_minute / 60 * window + pace.burst
                    self._expect(9, j - i + 1 <= most + 1e-6, f"{j - i + 1} in {window} s")

    def check_ended(self) -> None:
        """Invariants 6 and 11, once nothing is in the way any more."""
        for rollout in self.rollouts.values():
            back = rollout.kind is RolloutKind.ROLLBACK
            said = rollout.waiting_for.message if rollout.waiting_for else "nothing"
            stuck = f"{rollout.kind} is {rollout.state} and waits for {said}"
            if back:
                self._expect(6, rollout.state.is_over, stuck)
                for cluster in (self.clusters[cluster_id] for cluster_id in rollout.targets):
                    by = cluster.assigned.rollout_id if cluster.assigned else None
                    moved = cluster.gone or (by is not None and by >= rollout.id)
                    self._expect(6, moved, f"{cluster.name} was not taken back")
            else:
                self._expect(11, rollout.state.is_over, stuck)

    def signature(self) -> object:
        """What an end state consists of."""
        return (
            [(r.kind.value, r.state.value) for r in self.rollouts.values()],
            {
                c.name: (c.assigned.revision, c.assigned.absent) if c.assigned else None
                for c in self.clusters.values()
            },
        )

    def _bucket(self, rollout: Rollout) -> Bucket:
        pace = rollout.strategy.pace
        rate = rollout.pacing.per_minute if rollout.pacing else pace.per_minute
        return Bucket(f"rollout:{rollout.id}", Rate(rate, pace.burst))

    def settle(self, hours: int = 2) -> None:
        """Nothing is in the way any more: everything is delivered, approved, resumed, reachable."""
        end = self.now + timedelta(hours=hours)
        self.frozen_until, self.lag_seconds = EPOCH, 0.0
        for cluster in self.clusters.values():
            cluster.connected, cluster.silent_since, cluster.not_now_until = True, None, None
        while self.now < end:
            busy = self.tick()
            for cluster in self.clusters.values():
                busy = cluster.act(self.now) or busy
                for event in cluster.journal:
                    self.receive(cluster, cluster.epoch, event)
                    busy = True
                cluster.journal.clear()
            for rollout in self.active():
                self.resume(rollout)
                self.approve(rollout)
            if not self.active():
                return
            if not busy:
                self.now += timedelta(seconds=30)


def _is_said(waiting: WaitingFor | None) -> bool:
    """What is waited for, since when, and what ends it."""
    return waiting is not None and all((waiting.message, waiting.since, waiting.ends_when))


def _with_oldest(
    stages: Sequence[StageView], targets: Sequence[TargetView]
) -> tuple[StageView, ...]:
    """The stages with the oldest release and the oldest Ready of their targets in flight."""
    found = []
    for stage in stages:
        if stage.in_flight:
            flying = [t for t in targets if t.stage == stage.index and t.state.is_in_flight]
            verifying = [t for t in flying if t.state is TargetState.VERIFYING]
            released = [t.released_at for t in flying if t.released_at and t not in verifying]
            ready = [t.ready_since for t in verifying if t.ready_since]
            first, soaking = min(released, default=None), min(ready, default=None)
            found.append(replace(stage, first_release=first, first_ready=soaking))
        else:
            found.append(stage)
    return tuple(found)
