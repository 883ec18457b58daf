"""The state machine: anything that can happen to one extension on four clusters, in any order.

The services, Postgres and Redis are the real ones. Only the agents are simulated, and time is
moved by the machine. After each step the invariants are judged from the rows; in the end whatever
was in the way is taken away, and every rollout has to come to its end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from redis.asyncio import Redis

from shared.contract.cluster import ClusterPatch
from shared.contract.errors import ErrorCode
from shared.contract.extension import ExtensionManifest
from shared.contract.freeze import FreezeScope, FreezeSpec
from shared.contract.rollout import ActionRequest, RollbackRequest
from shared.contract.states import ExtensionPhase, Role, RolloutState, TargetState
from shared.contract.status import StatusBatch, StatusEvent
from shared.domain.errors import ArcBridgeError
from shared.services import (
    clusters,
    events,
    freezes,
    pacer,
    publish,
    quarantine,
    removal,
    retry,
    rollback,
    rollouts,
    status,
)
from shared.services.caller import Caller
from shared.services.ids import new_id
from tests.integration.engine.fleet import Clock
from tests.integration.machine.agents import Agent, join
from tests.integration.machine.crashes import CrashError, CrashingDatabase, Moment
from tests.integration.machine.snapshot import Reader, Snapshot
from tests.integration.machine.watch import BrokenError, Watch

T = TypeVar("T")
PACE = {"perMinute": 6000, "burst": 3}
"""The buckets fill by Redis's own clock, which the machine does not move."""
COMMON: dict[str, Any] = {
    "pace": PACE,
    "progressDeadline": "5m",
    "offline": {"after": "3m"},
    "maxFailures": 0,
    "onFailure": "rollback",
}
CANARY = {"name": "canary", "maxTargets": 1, "maxConcurrent": 1, "soak": "1m"}
STRATEGIES: Sequence[dict[str, Any]] = (
    {"stages": [{"name": "all", "maxConcurrent": "50%", "soak": "0s"}]},
    {"stages": [CANARY, {"name": "broad", "maxConcurrent": "50%", "soak": "0s"}]},
    {
        "stages": [CANARY, {"name": "broad", "maxConcurrent": 2, "approval": "required"}],
        "onFailure": "pause",
    },
    {
        "stages": [{"name": "all", "maxConcurrent": 1, "soak": "0s"}],
        "onFailure": "continue",
        "maxFailures": 1,
    },
    {
        "stages": [{"name": "all", "maxConcurrent": "100%", "soak": "1m"}],
        "maxFailures": 1,
        "pace": PACE | {"mode": "adaptive", "minPerMinute": 600},
    },
)
REFUSALS = frozenset(
    {
        ErrorCode.CONFLICT,
        ErrorCode.NOT_FOUND,
        ErrorCode.QUARANTINED,
        ErrorCode.STALE_EPOCH,
        ErrorCode.UNAUTHENTICATED,
    }
)
"""What may be answered to a call that came at the wrong time."""
APP = "app"
ROUNDS = 600
"""Of healing. A round is thirty seconds when there was nothing to do."""

cluster_numbers = st.integers(0, 3)


@dataclass(frozen=True)
class Plane:
    """What the services stand on; the database crashes when it is told to."""

    db: CrashingDatabase
    redis: Redis
    clock: Clock


@dataclass(frozen=True)
class Servers:
    """What all machines of one test share; each has a tenant of its own."""

    runner: asyncio.Runner
    plane: Plane
    reader: Reader


class FleetMachine(RuleBasedStateMachine):
    """One tenant, one extension, four clusters."""

    servers: Servers
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.plane, self.reader = self.servers.plane, self.servers.reader
        self.plane.db.disarm()
        self.tenant = f"t{new_id().hex}"
        self.reader.rows("insert into tenants (tenant_id) values (%s)", self.tenant)
        self.agents = [join(self.reader, self.plane.clock, self.tenant, f"c{n}") for n in range(4)]
        self.operator = Caller(
            actor="person:test", tenant=self.tenant, roles=frozenset({Role.OPERATOR})
        )
        self.watch = Watch()
        self.before = self.reader.snapshot(self.tenant)
        self.is_broken = False

    # what fails where

    @initialize(
        bad=st.lists(st.sampled_from([(), (), (2,), (2, 3), (3,)]), min_size=4, max_size=4),
        mute=st.sampled_from([None, None, 0, 1, 2, 3]),
        strategy=st.integers(0, len(STRATEGIES) - 1),
    )
    def first_revision(self, bad: list[tuple[int, ...]], mute: int | None, strategy: int) -> None:
        for number, (agent, revisions) in enumerate(zip(self.agents, bad, strict=True)):
            agent.bad = frozenset(revisions)
            agent.mute = frozenset({2} if number == mute else ())
        self._step(self._publish(1, strategy))

    # operators

    @rule(version=st.integers(1, 4), strategy=st.integers(0, len(STRATEGIES) - 1))
    def publish(self, version: int, strategy: int) -> None:
        """One whose reply is lost is sent again."""
        for _ in range(2):
            if self._step(self._publish(version, strategy)):
                return

    @rule(to=st.sampled_from([None, None, None, 1, 2]))
    def roll_back(self, to: int | None) -> None:
        request = RollbackRequest(to_revision=to)
        self.watch.is_directed = to is not None
        self._step(rollback.rollback(self.plane, self.operator, APP, request))

    @rule(number=st.integers(1, 3), lifts=st.booleans())
    def quarantine(self, number: int, lifts: bool) -> None:
        request = ActionRequest(reason="looked at by a person")
        act = quarantine.release if lifts else quarantine.quarantine
        self._step(act(self.plane, self.operator, APP, number, request))

    @rule(action=st.sampled_from(["pause", "resume", "approve", "cancel"]))
    def operate(self, action: str) -> None:
        for rollout_id in self.before.active():
            act = getattr(rollouts, action)
            self._step(act(self.plane, self.operator, rollout_id, None, ActionRequest()))

    @rule(age=st.integers(0, 2))
    def retry(self, age: int) -> None:
        if len(self.before.rollouts) > age:
            chosen = sorted(self.before.rollouts)[-1 - age]
            self._step(retry.retry(self.plane, self.operator, chosen, None, ActionRequest()))

    @rule(number=st.integers(0, 9))
    def take_away(self, number: int) -> None:
        """Rarely a cluster, more often the extension."""
        if number < len(self.agents):
            self._deregister(self.agents[number])
        else:
            self._step(removal.delete(self.plane, self.operator, APP, None, "not needed"))

    def _deregister(self, agent: Agent) -> None:
        if sum(not other.gone for other in self.agents) > 2 and not agent.gone:
            agent.gone = True
            for _ in range(2):
                self._step(clusters.delete(self._plane, self.operator, agent.name, if_match=None))

    @rule(number=cluster_numbers, value=st.sampled_from(["yes", "no"]))
    def label(self, number: int, value: str) -> None:
        change = ClusterPatch(labels={"fleet": value})
        name = self.agents[number].name
        self._step(clusters.patch(self._plane, self.operator, name, change, if_match=None))

    @rule(holds=st.booleans())
    def freeze(self, holds: bool) -> None:
        spec = FreezeSpec(scope=FreezeScope.GLOBAL, reason="the season")
        if holds:
            self._step(freezes.put(self.plane, self.operator, "season", spec, None))
        else:
            self._step(freezes.delete(self.plane, self.operator, "season", None))

    # agents and the network

    @rule(number=cluster_numbers, times=st.integers(1, 3))
    def act(self, number: int, times: int) -> None:
        for _ in range(times):
            self.agents[number].act()

    @rule(number=cluster_numbers, which=st.integers(0, 5), reply_is_lost=st.booleans())
    def deliver(self, number: int, which: int, reply_is_lost: bool) -> None:
        """Any report that waits, not only the oldest; one whose reply is lost waits on."""
        agent = self.agents[number]
        if agent.connected and agent.journal:
            event = agent.journal[which % len(agent.journal)]
            if self._report(agent, agent.epoch, (event,)) and not reply_is_lost:
                agent.journal.remove(event)

    @rule(number=cluster_numbers)
    def deliver_all(self, number: int) -> None:
        agent = self.agents[number]
        self._deliver_in(agent, agent.journal[::-1])

    def _deliver_in(self, agent: Agent, order: Sequence[StatusEvent]) -> None:
        if agent.connected and order and self._report(agent, agent.epoch, tuple(order)):
            agent.journal.clear()

    @rule(number=cluster_numbers, which=st.integers(0, 9), is_stale=st.booleans())
    def repeat(self, number: int, which: int, is_stale: bool) -> None:
        """A report arrives again, in its own old session or in the one of today."""
        agent = self.agents[number]
        if agent.sent:
            epoch, event = agent.sent[which % len(agent.sent)]
            self._report(agent, epoch if is_stale else agent.epoch, (event,))

    @rule(number=cluster_numbers)
    def change_of_health(self, number: int) -> None:
        self.agents[number].turn()

    @rule(number=cluster_numbers, comes_back=st.booleans())
    def reach(self, number: int, comes_back: bool) -> None:
        if comes_back:
            self.agents[number].come_back()
        else:
            self.agents[number].go_offline()

    @rule(rounds=st.integers(1, 2))
    def everyone_works(self, rounds: int) -> None:
        for agent in self.agents:
            for _ in range(rounds):
                agent.act()
            self._deliver_in(agent, list(agent.journal))

    @rule(seconds=st.sampled_from([1, 31, 61]))
    def everyone_works_and_time_goes_on(self, seconds: int) -> None:
        self.plane.clock.advance(seconds=seconds)
        self.everyone_works(rounds=2)
        self.tick()

    @rule(number=cluster_numbers, minutes=st.sampled_from([0, 2, 10]))
    def rest(self, number: int, minutes: int) -> None:
        self.agents[number].rest(self.plane.clock() + timedelta(minutes=minutes))

    # the control plane

    @rule()
    def tick(self) -> None:
        self._step(pacer.tick(self.plane))

    @rule(seconds=st.sampled_from([1, 31, 61, 200, 400]))
    def wait_and_tick(self, seconds: int) -> None:
        self.plane.clock.advance(seconds=seconds)
        self._step(pacer.tick(self.plane))

    @rule(seconds=st.sampled_from([0, 31]))
    def two_pacers(self, seconds: int) -> None:
        self.plane.clock.advance(seconds=seconds)
        self._step(self._two_pacers())

    @rule(commits=st.integers(1, 6), moment=st.sampled_from(Moment))
    def crash_soon(self, commits: int, moment: Moment) -> None:
        self.plane.db.arm(commits, moment)

    @rule()
    def lose_redis(self) -> None:
        self._step(self._flush())

    # the end

    def teardown(self) -> None:
        try:
            if not self.is_broken:
                self._heal()
                self._check_end()
        finally:
            self.reader.rows(
                "update tenants set state = 'Suspended' where tenant_id = %s", self.tenant
            )

    def _heal(self) -> None:
        self.plane.db.disarm()
        self._run(freezes.delete(self.plane, self.operator, "season", None))
        for agent in self.agents:
            agent.rest(None)
            agent.come_back()
        for _ in range(ROUNDS):
            self._step(pacer.tick(self.plane))
            busy = self._let_agents_answer()
            active = [r for r in self.before.active() if not self._unblock(r)]
            if not busy and not active and not self._is_reconsidering():
                return
            if not busy:
                self.plane.clock.advance(seconds=30)
        waits = {r: self.before.rollouts[r] for r in self.before.active()}
        raise self._breach(f"11: not over after {ROUNDS} rounds: {waits}")

    def _let_agents_answer(self) -> bool:
        busy = False
        for agent in self.agents:
            while agent.act():
                busy = True
            if agent.journal and not agent.gone:
                busy = True
                self._report(agent, agent.epoch, tuple(agent.journal))
                agent.journal.clear()
        return busy

    def _unblock(self, rollout_id: UUID) -> bool:
        """Do what a person has to do; never an end of its own."""
        state = self.before.rollouts[rollout_id]["state"]
        act = {
            RolloutState.PAUSED: rollouts.resume,
            RolloutState.AWAITING_APPROVAL: rollouts.approve,
        }
        if state in act:
            self._step(act[state](self.plane, self.operator, rollout_id, None, ActionRequest()))
        return False

    def _is_reconsidering(self) -> bool:
        return bool(
            self.reader.rows("select 1 from reconsiderations where tenant_id = %s", self.tenant)
        )

    def _check_end(self) -> None:
        end = self.before
        flying = [t for t in end.targets.values() if TargetState(t["state"]).is_in_flight]
        live = [
            t for t in flying if not RolloutState(end.rollouts[t["rollout_id"]]["state"]).is_over
        ]
        if live:
            raise self._breach(f"8: in flight at the end: {live}")
        for agent in self.agents:
            self._check_cluster(agent, end)
        chain = self._run(events.verify(self._plane, self.operator))
        if chain is None or not chain.intact:
            raise self._breach(f"the audit trail does not hold: {chain}")

    def _check_cluster(self, agent: Agent, end: Snapshot) -> None:
        """What the cluster has is what the last release that succeeded there gave it."""
        mine = [t for t in end.targets.values() if t["cluster_id"] == agent.cluster_id]
        released = [t for t in mine if t["generation"] is not None]
        if agent.gone or not released:
            return
        last = max(released, key=lambda t: t["generation"])
        row = end.assignments[agent.cluster_id]
        has = (row["revision"], row["spec_digest"], row["absent"], row["generation"])
        wanted = (
            last["goal_revision"], last["goal_digest"], last["goal_absent"], last["generation"],
        )  # fmt: skip
        if last["state"] == TargetState.SUCCEEDED and has != wanted:
            raise self._breach(f"8: {agent.name} has {has}, it was released {wanted}")
        is_done = row["phase"] == (
            ExtensionPhase.REMOVED if row["absent"] else ExtensionPhase.READY
        )
        if (
            last["state"] == TargetState.SUCCEEDED
            and row["observed_generation"] != last["generation"]
        ):
            raise self._breach(f"4: {agent.name} succeeded at another generation than it reports")
        if last["state"] == TargetState.SUCCEEDED and not is_done and not agent.was_sick:
            raise self._breach(f"7: {agent.name} ends as {row['phase']}")

    # doing

    @property
    def _plane(self) -> Any:
        """Where a service asks for a whole control plane and uses its database and its clock."""
        return self.plane

    async def _publish(self, version: int, strategy: int) -> bool:
        manifest = ExtensionManifest.model_validate(
            {
                "metadata": {"name": APP},
                "spec": {
                    "placement": {"matchLabels": {"fleet": "yes"}},
                    "source": {
                        "helm": {
                            "repo": "oci://charts.test/x",
                            "chart": APP,
                            "version": f"{version}.0.0",
                        }
                    },
                    "namespace": "default",
                    "rollout": COMMON | STRATEGIES[strategy],
                },
            }
        )
        await publish.publish(self._plane, self.operator, manifest)
        return True

    async def _two_pacers(self) -> None:
        active = self.before.active()
        looks = [pacer.tick_rollout(self.plane, self.tenant, one) for one in active]
        found = await asyncio.gather(
            pacer.tick(self.plane), pacer.tick(self.plane), *looks, return_exceptions=True
        )
        for error in found:
            if isinstance(error, BaseException):
                raise error

    async def _flush(self) -> None:
        await self.plane.redis.flushdb()
        await self.plane.redis.script_flush()

    def _report(self, agent: Agent, epoch: int, batch: tuple[StatusEvent, ...]) -> bool:
        """True when it was taken in; then it counts, if its session is the newest."""
        caller = Caller(
            actor=f"cluster:{agent.cluster_id}", tenant=self.tenant, cluster_id=agent.cluster_id
        )
        for event in batch:
            agent.sent.append((epoch, event))
            if epoch >= agent.epoch and event.phase in (
                ExtensionPhase.READY,
                ExtensionPhase.REMOVED,
            ):
                said = (event.rollout_id, event.spec_digest, event.observed_generation)
                self.watch.heard.add((agent.cluster_id, *said))
        body = StatusBatch(session_epoch=epoch, events=batch)
        taken = self._step(status.ingest(self.plane, caller, body))
        if taken is not None and (epoch < agent.epoch or agent.gone):
            raise self._breach(f"4: {agent.name} was heard in session {epoch} of {agent.epoch}")
        return taken is not None

    def _step(self, use_case: Coroutine[Any, Any, T]) -> T | None:
        """Do it, and judge what it did. None: it was refused, or it crashed."""
        type(self).steps += 1
        began = time.monotonic()
        result = self._run(use_case)
        after = self.reader.snapshot(self.tenant)
        try:
            self.watch.check(self.before, after, began, time.monotonic())
        except BrokenError:
            self.is_broken = True
            raise
        self.before = after
        return result

    def _run(self, use_case: Coroutine[Any, Any, T]) -> T | None:
        try:
            return self.servers.runner.run(use_case)
        except ArcBridgeError as error:
            if error.code not in REFUSALS:
                self.is_broken = True
                raise
        except (CrashError, BaseExceptionGroup) as error:
            if not _is_crash(error):
                self.is_broken = True
                raise
        except BaseException:
            self.is_broken = True
            raise
        return None

    def _breach(self, what: str) -> BrokenError:
        self.is_broken = True
        return BrokenError(what)


def _is_crash(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_crash(one) for one in error.exceptions)
    return isinstance(error, CrashError)
