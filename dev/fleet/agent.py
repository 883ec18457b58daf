"""One agent of the fleet: the agent's own protocol code around a cluster that is made up."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx

from agent.api.client import ControlPlaneClient
from agent.api.errors import ControlPlaneRefused, ControlPlaneUnreachable
from agent.api.transport import Transport
from agent.backoff import Backoff
from agent.clock import SystemClock
from agent.credentials.identity import Identity
from agent.credentials.keys import certificate_request, new_key
from agent.ids import RANDOM_BYTES, uuid7
from agent.link.channel import relay_stub
from agent.link.endings import End, Ended
from agent.link.messages import AgentFacts, Pulse
from agent.link.renewal import Renewer
from agent.link.session import Opening, Session
from agent.reconcile.seam import ExtensionTally
from agent.report.batch import next_batch
from dev.fleet.nature import Character
from shared.contract.desired import DesiredExtension, DesiredState
from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.contract.registration import ClusterFacts, RegisterRequest, RegisterResponse
from shared.contract.states import ExtensionPhase
from shared.contract.status import StatusBatch, StatusEvent
from shared.rpc.v1 import relay_pb2 as pb

Record = Callable[..., None]
"""Takes a kind of event and its fields."""
DUPLICATE_PAUSE_SECONDS = 10.0
REPORT_RETRY_SECONDS = 1.0
LATE_INTERVALS = 2.0
"""A heartbeat that comes after more than so many intervals stands for one that was lost."""


class SkewedClock(SystemClock):
    """A clock that is off by a constant."""

    def __init__(self, seconds: float) -> None:
        self._skew = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._skew


@dataclass
class World:
    """What the agents of one process share."""

    control_plane_url: str
    transport: Transport
    registry: asyncio.Semaphore
    """Places at the chart registry."""
    record: Record


@dataclass
class FleetAgent:
    """Registers, streams, fetches, pretends, reports."""

    character: Character
    number: int
    token: str
    ca_pin: str
    world: World
    online: asyncio.Event = field(default_factory=asyncio.Event)
    _epoch: int = 0
    _digest: str = ""
    _sequence: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _to_report: asyncio.Event = field(default_factory=asyncio.Event)
    _journal: list[StatusEvent] = field(default_factory=list)
    _generations: dict[str, int] = field(default_factory=dict)
    _phases: dict[str, ExtensionPhase] = field(default_factory=dict)
    _session: Session | None = None
    _interval: float = 0.0
    """Seconds between heartbeats, as the relay asks for."""
    _beaten: float | None = None
    """When the last heartbeat was sent; None after a time offline."""

    async def run(self) -> None:
        """Live until cancelled."""
        self.online.set()
        self._clock = SkewedClock(self.character.skew_seconds)
        self._identity = await self._register()
        self._client = ControlPlaneClient(
            self.world.transport, lambda: self._identity, SystemClock()
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_stream())
            group.create_task(self._renewer().run())
            group.create_task(self._follow(group))
            group.create_task(self._report())

    def leave(self) -> None:
        """Go offline."""
        self.online.clear()
        self._beaten = None
        if self._session is not None:
            self._session.end(Ended(End.REPLACE, "offline"))

    async def _register(self) -> Identity:
        """As a new cluster does; each from an address of its own, as clusters are."""
        key = new_key()
        request = RegisterRequest(
            token=self.token,
            csr=certificate_request(key, self.character.name),
            cluster_name=self.character.name,
            facts=ClusterFacts(agent_version=self.character.version, distribution="fleet"),
        )
        address = (
            f"127.{1 + self.number // 62_500}.{self.number // 250 % 250}.{self.number % 250 + 1}"
        )
        url = f"{self.world.control_plane_url}/api/v1/register"
        transport = httpx.AsyncHTTPTransport(local_address=address)
        async with httpx.AsyncClient(transport=transport, timeout=60.0) as client:
            for attempt in count():
                began = time.monotonic()
                with suppress(httpx.HTTPError):
                    answer = await client.post(
                        url, content=request.model_dump_json(), headers=_JSON
                    )
                    if answer.is_success:
                        break
                self.world.record("register again")
                await asyncio.sleep(_random() * 2 ** min(attempt, 4))
        self.world.record("registered", seconds=time.monotonic() - began)
        response = RegisterResponse.model_validate_json(answer.content)
        return Identity.from_answer(key, self.world.control_plane_url, self.ca_pin, response)

    def _renewer(self) -> Renewer:
        return Renewer(
            SystemClock(),
            _random,
            identity=lambda: self._identity,
            address=lambda: self._identity.registration.relay_address,
            adopt=self._adopt,
            on_failure=lambda why: self.world.record("renewal failed", why=why[:80]),
        )

    async def _adopt(self, identity: Identity) -> None:
        """Another certificate is in use, and opens the next stream."""
        self._identity = identity
        self.world.record("renewed")
        if self._session is not None:
            self._session.end(Ended(End.REPLACE, "a new certificate"))

    # the stream

    async def _keep_stream(self) -> None:
        backoff, failures = Backoff(cap_seconds=10.0), 0
        while True:
            await self.online.wait()
            ended = await self._stream()
            why = f"{ended.end.value}, {ended.detail}"[:80]
            self.world.record("disconnected", why=why)
            if not ended.welcomed and ended.end is not End.REPLACE:
                self.world.record("stream not opened", why=why)
            failures = 0 if ended.welcomed else failures + 1
            pause = max(backoff.delay(failures, _random), ended.retry_after)
            if ended.end is End.REPLACE:
                pause = 0.0
            elif ended.end is End.DRAINED:
                pause = _random() * ended.spread_seconds
            elif ended.end is End.DUPLICATE:
                pause += DUPLICATE_PAUSE_SECONDS
            await asyncio.sleep(pause)

    async def _stream(self) -> Ended:
        self._began = time.monotonic()
        self._session = Session(self._clock, _random, self, NoInventory(), self._pulse)
        facts = AgentFacts(
            agent_version=self.character.version,
            kubernetes_version="1.34.0",
            distribution="fleet",
            instance_id=f"{self.character.name}-{self.number}",
        )
        flapping = None
        if self.character.flaps:
            ended = Ended(End.BROKEN, "flapping")
            flapping = asyncio.get_running_loop().call_later(
                1 + 4 * _random(), self._session.end, ended
            )
        try:
            opening = Opening(facts, self._epoch, 0, self._digest, self._identity.bundle_digest)
            async with relay_stub(
                self._identity, self._identity.registration.relay_address
            ) as stub:
                return await self._session.run(stub, opening)
        finally:
            self._session = None
            if flapping is not None:
                flapping.cancel()

    def _pulse(self) -> Pulse:
        phases = list(self._phases.values())
        tally = ExtensionTally(
            total=len(phases),
            ready=phases.count(ExtensionPhase.READY),
            failed=phases.count(ExtensionPhase.FAILED),
            drifted=0,
        )
        return Pulse(tally, len(self._journal), self._digest, self._identity.bundle_digest)

    # what the session tells (SessionListener)

    async def welcomed(self, welcome: pb.Welcome) -> None:
        self._epoch = welcome.session_epoch
        self._interval = welcome.heartbeat_seconds
        self.world.record("connected", seconds=time.monotonic() - self._began)
        self._to_report.set()

    def beaten(self) -> None:
        now = time.monotonic()
        if self._beaten is not None:
            gap = now - self._beaten
            self.world.record("heartbeat", seconds=gap)
            if gap > LATE_INTERVALS * self._interval:
                self.world.record("heartbeat late", why=f"{gap / self._interval:.0f} intervals")
        self._beaten = now

    def desired_changed(self, traceparent: str | None) -> None:
        self.world.record("woken", cluster=self.character.name)
        self._changed.set()

    def inventory_resync(self) -> None:
        """The fleet has no inventory."""

    def inventory_acknowledged(self, checksum: str) -> None:
        """The fleet has no inventory."""

    def ca_bundle(self, bundle_pem: str) -> None:
        self._identity = self._identity.trusting(bundle_pem)
        self.world.record("roots replaced")

    def noticed(self, reason: ReasonCode | None, message: str) -> None:
        self.world.record("noticed", why=reason.value if reason else message)

    # desired state

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        poll = self._identity.registration.settings.poll_seconds
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(poll * (0.8 + 0.4 * _random())):
                    await self._changed.wait()
            await self.online.wait()
            self._changed.clear()
            began = time.monotonic()
            try:
                document = await self._client.desired(self._digest or None)
            except (ControlPlaneUnreachable, ControlPlaneRefused) as error:
                self.world.record("fetch failed", why=str(error)[:80])
                await asyncio.sleep(1 + _random())
                self._changed.set()
                continue
            self.world.record("fetched", seconds=time.monotonic() - began)
            if document is None:
                continue
            self._digest = document.digest
            for extension in document.extensions:
                if self._generations.get(extension.name, 0) < extension.generation:
                    self._generations[extension.name] = extension.generation
                    group.create_task(self._apply(extension))

    async def _apply(self, extension: DesiredExtension) -> None:
        """Pretend to install it, and say so."""
        version = revision_of(extension)
        self.world.record(
            "started", cluster=self.character.name, revision=version,
            generation=extension.generation, at=time.time(),
        )  # fmt: skip
        self._say(extension, ExtensionPhase.APPLYING, ReasonCode.PROGRESSING)
        if extension.state is DesiredState.ABSENT:
            self._say(extension, ExtensionPhase.REMOVED, ReasonCode.UNINSTALL_SUCCEEDED)
            return
        async with self.world.registry:
            await asyncio.sleep(self.character.pull_seconds)
        await asyncio.sleep(self.character.apply_seconds)
        if self._generations[extension.name] != extension.generation:
            return
        if self.character.becomes_ready(version):
            self._say(extension, ExtensionPhase.READY, ReasonCode.UPGRADE_SUCCEEDED)
            self.world.record(
                "ready", cluster=self.character.name, revision=version, at=time.time()
            )
        else:
            self._say(extension, ExtensionPhase.FAILED, ReasonCode.HEALTH_CHECK_FAILED)

    def _say(self, extension: DesiredExtension, phase: ExtensionPhase, reason: ReasonCode) -> None:
        now = datetime.now(UTC)
        self._sequence += 1
        self._phases[extension.name] = phase
        self._journal.append(
            StatusEvent(
                id=uuid7(now, secrets.token_bytes(RANDOM_BYTES)),
                sequence=self._sequence,
                occurred_at=self._clock.now(),
                extension=extension.name,
                phase=phase,
                revision=extension.revision,
                spec_digest=extension.spec_digest,
                rollout_id=extension.rollout_id,
                observed_generation=extension.generation,
                reason=reason,
                traceparent=extension.traceparent,
            )
        )
        self._to_report.set()

    async def _report(self) -> None:
        """Until each event is durable; under the newest epoch."""
        while True:
            await self._to_report.wait()
            await self.online.wait()
            self._to_report.clear()
            while self._journal and self._epoch:
                batch = StatusBatch(session_epoch=self._epoch, events=next_batch(self._journal))
                began = time.monotonic()
                try:
                    ack = await self._client.report(batch)
                except (ControlPlaneUnreachable, ControlPlaneRefused) as error:
                    stale = getattr(error, "code", None) is ErrorCode.STALE_EPOCH
                    self.world.record(
                        "stale epoch" if stale else "report failed", why=str(error)[:80]
                    )
                    await asyncio.sleep(REPORT_RETRY_SECONDS * (0.5 + _random()))
                    continue
                self.world.record("reported", seconds=time.monotonic() - began)
                refused = {each.id for each in ack.refused}
                if refused:
                    self.world.record("refused", why=ack.refused[0].detail[:80])
                self._journal = [
                    event
                    for event in self._journal
                    if event.sequence > ack.durable_sequence and event.id not in refused
                ]


class NoInventory:
    """The fleet has none to send."""

    def checksum(self) -> str:
        """Nothing was acknowledged."""
        return ""

    def begin_session(self) -> None:
        """Nothing is under way."""

    async def next_message(self) -> pb.AgentMessage:
        """Never."""
        await asyncio.Event().wait()
        raise AssertionError("an event that nobody sets was set")


def revision_of(extension: DesiredExtension) -> int:
    """The revision that the chart's version names: 1.0.n. 0 for a tombstone."""
    if extension.spec is None or extension.spec.source.helm is None:
        return 0
    return int((extension.spec.source.helm.version or "0.0.0").rpartition(".")[2])


_JSON = {"Content-Type": "application/json"}


def _random() -> float:
    return secrets.randbelow(2**53) / 2**53
