"""Virtual time: look, plan, take tokens, carry out, and go to the next moment at which it matters.

The loop is the pacer's without its waiting: a look follows each report, each soak's end, each token
and each change of a freeze. Reports that arrive within a step of time are looked at together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy
from shared.domain.goals import Goal
from shared.domain.way_back import Affected, goals_back, way_back
from shared.pacing.gcra import Rate
from shared.pacing.memory import MemoryTokens
from shared.pacing.source import Bucket
from shared.planner.decisions import Decision, RollBack
from shared.planner.grant import granted, wanted
from shared.planner.plan import plan
from shared.planner.windows import Verdict, judge_windows
from shared.simulation.acts import carry_out
from shared.simulation.fleet import Setting, SimulatedCluster
from shared.simulation.record import Recorder, Simulated, taken_back
from shared.simulation.state import Running

FORWARD: Final = UUID(int=1)
BACK: Final = UUID(int=2)
LOOKS: Final = 40_000
"""After so many looks a simulation is given up: it did not end."""
PASSES: Final = 24
"""Of one rollout in one look; what is left is due at once for the next."""
HORIZON: Final = timedelta(days=366)
STEPS: Final = 2_000
"""A rollout is looked at about this often while it is paced; the step of time follows from it."""
TICK: Final = timedelta(seconds=1)


def simulate(setting: Setting) -> Simulated:
    """Run the rollout to its end, or to where nothing but a person can go on."""
    return _Simulation(setting).run()


@dataclass
class _Simulation:
    setting: Setting
    recorder: Recorder = field(default_factory=Recorder)

    def __post_init__(self) -> None:
        setting = self.setting
        self.now = setting.starts_at
        self.tokens = MemoryTokens(lambda: (self.now - setting.starts_at).total_seconds())
        self.freeze: Verdict | None = None
        self.clusters = dict(setting.by_id)
        self.forward = self._begin()
        self.back: Running | None = None
        self.step = max(TICK, timedelta(seconds=_paced_seconds(setting) / STEPS))

    def _begin(self) -> Running:
        """One that is under way has no tokens left over."""
        setting, underway = self.setting, self.setting.underway
        if underway is None:
            goals = [cluster.goal for cluster in setting.clusters]
            return self._start(FORWARD, RolloutKind.PUBLISH, setting.strategy, goals)
        return Running.resume(
            FORWARD, setting.strategy, setting.revision, underway, self.clusters, self.now
        )

    def run(self) -> Simulated:
        """Look until nothing can happen any more."""
        over = self.setting.starts_at + HORIZON
        following: datetime | None = None
        for _ in range(LOOKS):
            following = self._look()
            self.recorder.sample(self.now, self.forward, self.back)
            if not self._under_way() or following is None or following > over:
                break
            self.now = max(following, self.now + self.step)
        return self._result()

    def _under_way(self) -> list[Running]:
        """The rollback first: the forward rollout is over then."""
        both = [self.back, self.forward] if self.back is not None else [self.forward]
        return [running for running in both if running is not None and running.is_under_way]

    def _look(self) -> datetime | None:
        """Take all that is under way as far as it goes now; the next moment to look at."""
        moments: list[datetime] = []
        for running in self._under_way():
            retry: datetime | None = self.now
            for _ in range(PASSES):
                if running.is_under_way and retry is not None and retry <= self.now:
                    retry = self._take_on(running)
            moments += [at for at in (retry, running.next_moment(self.now)) if at is not None]
        changes_at = self._verdict().changes_at
        if changes_at is not None and self.forward.is_under_way and self.forward.could_release:
            moments.append(changes_at)
        return min(moments, default=None)

    def _take_on(self, running: Running) -> datetime | None:
        """One look at one rollout; when to look again for tokens or for what this one allows."""
        view = running.view(self.now, self._verdict(), None)
        planned = plan(view, self.now)
        missing = wanted(planned.decisions)
        grant = self.tokens.take_now(self._buckets(running), missing) if missing else None
        decisions = granted(planned.decisions, grant.count if grant else 0)
        self.recorder.decided(running, decisions, self.now)
        self.recorder.waits(running.waiting_for, planned.waiting_for, self.now)
        running.waiting_for = planned.waiting_for or running.waiting_for
        running.pacing = planned.pacing or running.pacing
        carry_out(running, decisions, self.now)
        self._roll_back(decisions)
        if grant is not None and grant.count < missing:
            return self.now + timedelta(seconds=max(grant.retry_after, 0.001))
        return self.now if decisions else None

    def _roll_back(self, decisions: Sequence[Decision]) -> None:
        if not any(isinstance(decision, RollBack) for decision in decisions):
            return
        strategy = self.setting.strategy
        left = [
            _affected(self.clusters[cluster_id], self.setting.revision)
            for cluster_id in self.forward.targets
            if cluster_id in self.forward.got_it and cluster_id not in self.forward.reverted
        ]
        goals = goals_back(strategy, left)
        self.back = self._start(BACK, RolloutKind.ROLLBACK, way_back(strategy), goals)

    def _start(
        self, rollout_id: UUID, kind: RolloutKind, strategy: RolloutStrategy, goals: Sequence[Goal]
    ) -> Running:
        running = Running.start(
            rollout_id, kind, strategy, self.setting.revision, goals, self.clusters, self.now
        )
        self.tokens.fill_now(self._own_bucket(running))
        return running

    def _own_bucket(self, running: Running) -> Bucket:
        pace = running.strategy.pace
        rate = running.pacing.per_minute if running.pacing else pace.per_minute
        return Bucket(f"rollout:{running.rollout_id}", Rate(rate, pace.burst))

    def _buckets(self, running: Running) -> list[Bucket]:
        return [self._own_bucket(running), *self.setting.shared_buckets]

    def _verdict(self) -> Verdict:
        """Asked again only once it may be another."""
        if self.freeze is None or (
            self.freeze.changes_at is not None and self.freeze.changes_at <= self.now
        ):
            self.freeze = judge_windows(self.setting.windows, self.now)
        return self.freeze

    def _result(self) -> Simulated:
        forward, back = self.forward, self.back
        state = forward.state
        if state is RolloutState.ROLLING_BACK and back is not None and not back.is_under_way:
            good = back.state is RolloutState.SUCCEEDED
            state = RolloutState.ROLLED_BACK if good else RolloutState.FAILED
        return Simulated(
            state=state,
            started_at=self.setting.starts_at,
            ended_at=self.now if state.is_over else None,
            waiting_for=None if state.is_over else (back or forward).waiting_for,
            stages=tuple(forward.stages),
            ready=_ready(forward),
            got_it=frozenset(forward.got_it),
            got_it_at_first_failure=self.recorder.got_it_at_first_failure,
            first_failure_at=self.recorder.first_failure_at,
            taken_back=taken_back(forward, back),
            happenings=tuple(self.recorder.happenings),
            left_out=self.recorder.left_out,
            samples=tuple(self.recorder.samples),
        )


def _ready(running: Running) -> Mapping[UUID, datetime]:
    """Nothing is of use to others once it is taken back."""
    if running.state in (RolloutState.ROLLING_BACK, RolloutState.FAILED):
        return {}
    return {
        target.cluster_id: target.ready_since
        for target in running.targets.values()
        if target.ready_since is not None
        and target.state in (TargetState.VERIFYING, TargetState.SUCCEEDED)
        and not target.goal_absent
    }


def _affected(cluster: SimulatedCluster, revision: int) -> Affected:
    goal, good = cluster.goal, cluster.good
    return Affected(
        goal.cluster_id,
        goal.cluster,
        revision,
        goal.digest,
        goal.stage,
        goal.position,
        good[0] if good else None,
        good[1] if good else None,
    )


def _paced_seconds(setting: Setting) -> float:
    """How long the pace alone makes it last."""
    return len(setting.clusters) * 60.0 / setting.strategy.pace.floor
