"""One cluster's agent while it leads: the resource it serves, the engine, and the connection.

Ends by itself only when the resource goes, or points to another control plane; who runs it then
begins anew.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from agent.clock import Clock, ControlPlaneClock, PresumedClock
from agent.cluster.announce import Announcer
from agent.cluster.conditions import ConditionBoard
from agent.cluster.resource import API_VERSION, KIND, ClusterResource, ClusterSpec, InvalidCluster
from agent.cluster.status import StatusFacts
from agent.cluster.writer import StatusWriter
from agent.connection import Connection, Surroundings
from agent.credentials.identity import Identity
from agent.credentials.secret import IdentitySecret
from agent.enrol.keeper import IdentityKeeper
from agent.enrol.registrar import Registrar
from agent.errors import AgentError, KubeError, KubeForbidden, KubeNotFound
from agent.facts import cluster_facts
from agent.inventory.collector import Collector
from agent.inventory.outbox import InventoryOutbox
from agent.journal.journal import Journal
from agent.kube.client import KubeClient
from agent.kube.watch import Changed, ChangeType, Listed
from agent.link.messages import AgentFacts
from agent.metrics import AgentMetrics
from agent.reconcile.seam import EventDraft, ReconcileGate, Reconciler, StatusSink
from agent.settings import AgentProcessSettings
from agent.story import Story
from agent.together import run_together
from shared.contract.desired import DesiredDocument
from shared.contract.status import Condition
from shared.contract.status import ConditionType as Kind
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

TICK_SECONDS = 5.0
RETRY_SECONDS = 3.0
T = TypeVar("T")
NewReconciler = Callable[[StatusSink], Reconciler]


class ResourceReplaced(AgentError):
    """The resource is gone, or is about another control plane: begin anew."""


@dataclass
class Member:
    """The agent of one ArcBridgeCluster."""

    settings: AgentProcessSettings
    kube: KubeClient
    clock: Clock
    metrics: AgentMetrics
    journal: Journal
    new_reconciler: NewReconciler
    resource: ClusterResource

    def __post_init__(self) -> None:
        self._gate: ReconcileGate | None = None
        self._connection: Connection | None = None
        self._unreadable = False
        self._registered = asyncio.Event()
        announcer = Announcer(
            self.kube, self.resource.name, self.resource.uid, self.settings.instance, self.clock
        )
        self._board = ConditionBoard(self.clock.now, self._condition_changed)
        # Those that are about this process's own stream are stated anew.
        self._board.restore(self.resource.conditions, but=(Kind.CONNECTED, Kind.READY))
        # By the machine's clock what happens here is dated, by this one what is judged there.
        self._judged = ControlPlaneClock(self.clock)
        self._story = Story(self._board, announcer, self.metrics, self._judged)
        self._writer = StatusWriter(
            self.kube, self.resource.name, self.clock, self._facts, self._heartbeat_seconds
        )
        self._collector = Collector(
            self.kube, self.kube.acting_as(self.settings.impersonate), self.clock
        )
        self._identities = IdentityKeeper(
            Registrar(
                self.kube,
                self.settings.namespace,
                IdentitySecret(self.kube, self.settings.namespace),
                self.settings.ca_file,
                on_date=self._story.answer_dated,
            ),
            PresumedClock(self._judged),
            random.random,
            spec=lambda: self.resource.spec,
            facts=lambda: cluster_facts(self.kube),
            on_identity=self._identity_in_use,
            on_trouble=lambda reason, message: self._story.no_identity(
                reason, message, self._identities.current
            ),
        )
        self._reconciler = self.new_reconciler(self)

    async def run(self) -> None:
        """Until cancelled. Raises ResourceReplaced to be begun anew."""
        self._story.spec_seen(self.resource.spec, self.resource.generation)
        await run_together(
            self._reconciler.run(),
            self._story.announcer.run(),
            self._writer.run(),
            self._collector.run(),
            self._identities.run(),
            self._follow_resource(),
            self._connect(),
            self._tick(),
        )

    async def record(self, draft: EventDraft) -> None:
        """The engine's StatusSink: durable in the journal, then shown."""
        await self.journal.record(draft)
        self._story.extension_reported(draft)
        self._writer.change()

    def _condition_changed(self, condition: Condition, moved: bool) -> None:
        self._story.condition_changed(condition, moved)
        self._writer.change()

    async def _connect(self) -> None:
        await self._registered.wait()
        identity = self._identities.current
        assert identity is not None  # noqa: S101 - what `_registered` stands for
        facts = await self._agent_facts()
        self._connection = Connection(
            Surroundings(
                clock=self.clock,
                judged=self._judged,
                journal=self.journal,
                story=self._story,
                identities=self._identities,
                inventory=InventoryOutbox(self._collector, self.clock),
                spec=lambda: self.resource.spec,
                facts=facts,
                tally=self._reconciler.counters,
                newest_signed=self._newest_signed,
                on_document=lambda _: self._submit(),
                on_heartbeat=self._writer.change,
                on_report_again=self._reconciler.tell_again,
                ca_file=self.settings.ca_file,
            ),
            identity,
        )
        self._tell_not_now()
        await self._connection.run()

    async def _agent_facts(self) -> AgentFacts:
        facts = await self._retried(lambda: cluster_facts(self.kube))
        return AgentFacts(
            agent_version=facts.agent_version,
            kubernetes_version=facts.kubernetes_version,
            distribution=facts.distribution,
            instance_id=str(uuid.uuid4()),
        )

    async def _retried(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the API server until it answers."""
        while True:
            try:
                return await ask()
            except KubeError as error:
                log.warning("cluster unreachable", error=str(error))
                await self.clock.sleep(RETRY_SECONDS)

    async def _identity_in_use(self, identity: Identity) -> None:
        document = self.journal.document
        if document is not None and document.cluster_id != identity.registration.cluster_id:
            log.warning("kept document is another cluster's, it is dropped")
            await self.journal.forget_document()
        self._judged.prove(identity.not_before)
        self._story.identity_in_use(identity)
        self._registered.set()
        if self._connection is not None:
            self._connection.use(identity)
        self._submit()
        self._writer.change()

    def _submit(self) -> None:
        """Hand the engine what is in force: nothing before the cluster knows who it is."""
        document: DesiredDocument | None = self.journal.document
        if document is None or not self._registered.is_set():
            return
        gate = self.resource.spec.gate()
        if gate.not_now is not None and gate.not_now.until <= self.clock.now():
            gate = replace(gate, not_now=None)
        self._gate = gate
        self._reconciler.submit(document, reconcile_allowed=gate)
        self._writer.change()

    async def _follow_resource(self) -> None:
        clusters = await self._retried(lambda: self.kube.resource(API_VERSION, KIND))
        while True:
            watch = self.kube.watch(clusters, field_selector=f"metadata.name={self.resource.name}")
            try:
                async for news in watch:
                    self._news_of_resource(news)
            except KubeNotFound as error:
                raise ResourceReplaced("the kind ArcBridgeCluster is gone") from error
            except KubeForbidden as error:
                self._resource_unreadable(error)
            await self.clock.sleep(RETRY_SECONDS)

    def _resource_unreadable(self, error: KubeForbidden) -> None:
        """What was in force stays in force: to stop for a right that is lost would cut off what is
        being applied, and tell the control plane nothing."""
        if self._unreadable:
            return
        self._unreadable = True
        log.warning("resource cannot be read", error=str(error)[:300])
        self._story.spec_invalid(
            f"The ArcBridgeCluster cannot be read, and counts as it last was: {error}. Give the"
            " agent's service account its ClusterRole back"
        )

    def _news_of_resource(self, news: Listed | Changed) -> None:
        if self._unreadable:
            self._unreadable = False
            self._story.spec_seen(self.resource.spec, self.resource.generation)
        match news:
            case Changed(type=ChangeType.DELETED) | Listed(items=()):
                raise ResourceReplaced("the ArcBridgeCluster was deleted")
            case Changed(object=obj):
                self._resource_seen(obj)
            case Listed(items=(obj, *_)):
                self._resource_seen(obj)

    def _resource_seen(self, obj: dict[str, object]) -> None:
        try:
            seen = ClusterResource.read(obj)
        except InvalidCluster as error:
            self._story.spec_invalid(str(error))
            return
        if seen.uid != self.resource.uid or needs_new_start(self.resource.spec, seen.spec):
            raise ResourceReplaced("the ArcBridgeCluster is about another control plane")
        if seen.generation == self.resource.generation and self._gate is not None:
            return
        if seen.spec.labels != self.resource.spec.labels and self._registered.is_set():
            self._story.labels_ignored(seen.spec.cluster_name)
        self.resource = seen
        self._story.spec_seen(seen.spec, seen.generation)
        self._submit()
        self._tell_not_now()
        self._writer.change()

    def _tell_not_now(self) -> None:
        if self._connection is not None:
            until = self.resource.spec.peace_until(self.clock.now())
            self._connection.reporter.tell_not_now(until)

    async def _tick(self) -> None:
        """What changes by time alone."""
        while True:
            await self.clock.sleep(TICK_SECONDS)
            if (identity := self._identities.current) is not None:
                self._story.certificate_seen(identity)
            self._story.tally_seen(self._reconciler.counters())
            self.metrics.events_pending.set(self.journal.totals.events)
            self.metrics.journal_writable.set(self.journal.writable)
            gate = self._gate
            if gate and gate.not_now and gate.not_now.until <= self.clock.now():
                self._story.spec_seen(self.resource.spec, self.resource.generation)
                self._submit()
                self._tell_not_now()

    def _newest_signed(self) -> datetime | None:
        """As the resource has it too, for another replica's journal says nothing of it."""
        document, taken = self.journal.document, self.resource.taken
        identity = self._identities.current
        moments = []
        if document is not None and document.signature is not None:
            moments.append(document.signature.signed_at)
        if taken is not None and identity and taken.cluster_id == identity.registration.cluster_id:
            moments.append(taken.desired_signed_at)
        return max(moments, default=None)

    def _heartbeat_seconds(self) -> float:
        return self._connection.heartbeat_seconds if self._connection else TICK_SECONDS

    def _facts(self) -> StatusFacts:
        document = self.journal.document
        return StatusFacts(
            instance=self.settings.instance,
            identity=self._identities.current,
            observed_generation=self.resource.generation,
            last_heartbeat=self._connection.last_heartbeat if self._connection else None,
            desired_digest=document.digest if document else None,
            desired_signed_at=self._newest_signed(),
            extensions=self._reconciler.statuses(),
            conditions=self._board.all(),
        )


def needs_new_start(before: ClusterSpec, after: ClusterSpec) -> bool:
    """Whether the change is one that the running parts cannot take up."""
    return (before.control_plane_url, before.ca_pin, before.cluster_name) != (
        after.control_plane_url,
        after.ca_pin,
        after.cluster_name,
    )
