"""Everything that talks to the control plane, wired together: stream, fetching, reporting, renewal.

Runs from the first identity on; a later identity is taken up without a restart.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.api.client import ControlPlaneClient, UnusableDocument
from agent.api.transport import Transport
from agent.clock import Clock, ControlPlaneClock, PresumedClock
from agent.cluster.resource import ClusterSpec
from agent.credentials.identity import Identity
from agent.desired.fetcher import Fetcher
from agent.desired.signature import Signers
from agent.enrol.keeper import IdentityKeeper
from agent.errors import AgentError
from agent.inventory.outbox import InventoryOutbox
from agent.journal.journal import Journal
from agent.link.bundles import BundleKeeper
from agent.link.endings import End, Ended
from agent.link.keeper import LinkKeeper
from agent.link.messages import AgentFacts, Pulse
from agent.link.renewal import Renewer
from agent.link.session import Opening, Session
from agent.reconcile.seam import ExtensionTally
from agent.report.reporter import Reporter
from agent.story import Story
from agent.together import run_together
from shared.contract.desired import DesiredDocument
from shared.contract.reasons import ReasonCode
from shared.rpc.codec import from_timestamp
from shared.rpc.v1 import relay_pb2 as pb


@dataclass(frozen=True)
class Surroundings:
    """What a connection is wired to."""

    clock: Clock
    judged: ControlPlaneClock
    """The control plane's time, as far as it is known."""
    journal: Journal
    story: Story
    identities: IdentityKeeper
    inventory: InventoryOutbox
    spec: Callable[[], ClusterSpec]
    facts: AgentFacts
    tally: Callable[[], ExtensionTally]
    newest_signed: Callable[[], datetime | None]
    """When the newest document was signed that was ever in force here, by any replica."""
    on_document: Callable[[DesiredDocument], None]
    on_heartbeat: Callable[[], None]
    on_report_again: Callable[[], None]
    """The control plane lost reports that it had acknowledged."""
    ca_file: Path | None


class Connection:
    """One cluster's connection to its control plane; also the stream's SessionListener."""

    def __init__(self, around: Surroundings, identity: Identity) -> None:
        self._around = around
        self._identity = identity
        self._welcomed = False
        self.last_heartbeat: datetime | None = None
        self.heartbeat_seconds = identity.registration.settings.heartbeat_seconds
        self._transport = Transport(
            around.spec().control_plane_url,
            ca_file=around.ca_file,
            on_date=around.story.answer_dated,
        )
        client = ControlPlaneClient(
            self._transport, lambda: self._identity, PresumedClock(around.judged)
        )
        self.fetcher = Fetcher(
            client,
            around.journal,
            around.judged,
            random.random,
            identity.registration.settings.poll_seconds,
            signers=lambda: Signers.of(self._identity),
            newest=around.newest_signed,
            on_document=around.on_document,
            on_outcome=self._fetched,
        )
        self.reporter = Reporter(
            client,
            around.journal,
            around.clock,
            random.random,
            on_stale_epoch=self._epoch_is_stale,
            on_outcome=lambda error: around.story.called("status", error),
            on_reported=around.story.metrics.events_reported.inc,
        )
        self._link = LinkKeeper(
            around.clock,
            random.random,
            identity=lambda: self._identity,
            address=self._address,
            new_session=self._new_session,
            opening=self._opening,
            on_end=self._stream_ended,
        )
        self._renewer = Renewer(
            around.judged,
            random.random,
            identity=lambda: self._identity,
            address=self._address,
            adopt=around.identities.adopt,
            on_failure=lambda detail: around.story.noticed(
                ReasonCode.CERTIFICATE_EXPIRING, f"the certificate could not be renewed: {detail}"
            ),
        )

        self._bundles = BundleKeeper(
            around.clock, random.random, around.identities.trust, around.story.noticed
        )

    def _fetched(self, error: AgentError | None) -> None:
        self._around.story.called("desired", error)
        if error is None or isinstance(error, UnusableDocument):
            self._around.story.document_judged(None if error is None else str(error))

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await run_together(
                self.fetcher.run(),
                self.reporter.run(),
                self._link.run(),
                self._renewer.run(),
                self._bundles.run(),
            )
        finally:
            await self._transport.close()

    def use(self, identity: Identity) -> None:
        """Another certificate came into use; its key signs and its stream opens from now on.

        Other roots alone need no other stream: the next heartbeat says that they are held.
        """
        same = identity.serial == self._identity.serial
        self._identity = identity
        if same:
            return
        self._link.replace("a new certificate")
        self._link.retry_now()

    # What the stream's session tells (SessionListener):

    async def welcomed(self, welcome: pb.Welcome) -> None:
        await self._around.journal.keep_epoch(welcome.session_epoch)
        self._welcomed = True
        self.heartbeat_seconds = welcome.heartbeat_seconds
        moment = from_timestamp(welcome.server_time)
        if moment is not None:
            self._around.story.server_time(moment)
        self._around.story.connected(welcome.relay_id, welcome.session_epoch)
        # Where the document that Hello named is not the newest, the relay says so now: a fleet that
        # comes back does not fetch a million documents that it has.
        self.fetcher.retry_now()
        # What an older epoch was refused for can be reported now.
        self.reporter.retry_now()
        if welcome.report_again:
            self._around.on_report_again()

    def beaten(self) -> None:
        self.last_heartbeat = self._around.clock.now()
        self._around.story.metrics.heartbeats.inc()
        self._around.on_heartbeat()

    def desired_changed(self, traceparent: str | None) -> None:
        self.fetcher.wake(traceparent)

    def inventory_resync(self) -> None:
        self._around.inventory.resync()

    def inventory_acknowledged(self, checksum: str) -> None:
        self._around.inventory.acknowledged(checksum)

    def ca_bundle(self, bundle_pem: str) -> None:
        self._bundles.offer(bundle_pem)

    def noticed(self, reason: ReasonCode | None, message: str) -> None:
        self._around.story.noticed(reason, message)

    def _new_session(self) -> Session:
        self._welcomed = False
        return Session(
            clock=self._around.clock,
            random=random.random,
            listener=self,
            inventory=self._around.inventory,
            pulse=self._pulse,
            heartbeat_limit_seconds=self._around.spec().heartbeat_seconds,
        )

    def _opening(self) -> Opening:
        journal = self._around.journal
        return Opening(
            self._around.facts,
            journal.epoch,
            journal.acknowledged,
            self._held_digest(),
            self._identity.bundle_digest,
        )

    def _pulse(self) -> Pulse:
        return Pulse(
            tally=self._around.tally(),
            reports_pending=self._around.journal.totals.events,
            desired_digest=self._held_digest(),
            ca_bundle=self._identity.bundle_digest,
        )

    def _held_digest(self) -> str:
        document = self._around.journal.document
        return document.digest if document else ""

    def _address(self) -> str:
        return self._around.spec().relay_address or self._identity.registration.relay_address

    def _epoch_is_stale(self, epoch: int) -> None:
        # A session that is still being opened will bring a newer epoch by itself.
        if self._welcomed and self._around.journal.epoch == epoch:
            self._link.replace("a newer session exists")

    def _stream_ended(self, ended: Ended) -> None:
        self._welcomed = False
        self._around.story.stream_ended(ended)
        if ended.end in (End.REVOKED, End.EXPIRED):
            self._around.identities.reject()
