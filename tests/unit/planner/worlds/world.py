"""The world: reports that arrive, pacers that look at the rollouts, and time that passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from shared.contract.states import ExtensionPhase, RolloutState
from shared.contract.status import StatusEvent
from shared.domain import observation
from shared.domain.observation import Desired
from shared.planner import grant
from shared.planner import plan as planning
from shared.planner.decisions import Release
from shared.planner.waiting import paced
from tests.unit.planner.worlds.carrying_out import Acting
from tests.unit.planner.worlds.fleet import Cluster
from tests.unit.planner.worlds.sight import BATCH, view_of
from tests.unit.planner.worlds.state import EPOCH, Rollout


class World(Acting):
    """Everything, with reports that arrive and a pacer that looks at the rollouts."""

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

    def passes(self, rollout: Rollout) -> Iterator[bool]:
        """The pacer's passes over one rollout, one commit each; True when one changed something."""
        tokens: int | None = None
        for _ in range(24):
            if rollout.state.is_over or rollout.state is RolloutState.ROLLING_BACK:
                return
            view = view_of(self, rollout)
            planned = planning.plan(view, self.now)
            decisions = grant.granted(planned.decisions, tokens or 0)
            self.carry_out(rollout, decisions)
            rollout.waiting_for, rollout.look_again_at = planned.waiting_for, planned.look_again_at
            rollout.pacing = planned.pacing or rollout.pacing
            self.check_rate(rollout)
            missing = grant.wanted(planned.decisions) - grant.wanted(decisions)
            if missing and tokens is not None and not tokens:
                again = self.now + timedelta(seconds=1)
                rollout.waiting_for = paced(view, missing, planned.pacing, self.now, again)
            self.check_waiting(rollout)
            if not decisions:
                said = replace(view, waiting_for=rollout.waiting_for, pacing=rollout.pacing)
                self.check_targets_waiting(rollout, said)
            yield bool(decisions)
            if missing:
                if tokens is not None and not tokens:
                    return
                tokens = self.tokens.take_now([self.bucket(rollout)], missing).count
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

    def signature(self) -> object:
        """What an end state consists of."""
        return (
            [(r.kind.value, r.state.value) for r in self.rollouts.values()],
            {
                c.name: (c.assigned.revision, c.assigned.absent) if c.assigned else None
                for c in self.clusters.values()
            },
        )

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
