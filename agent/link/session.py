"""One stream from Hello to its end: who writes, who reads, and why it ended.

The stream carries hints and signs of life. Nothing that is lost with it needs to be repaired: the
next session's Hello says where the agent stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import grpc

from agent.backoff import Random, spread
from agent.clock import Clock
from agent.link.endings import End, Ended, ended_by, ended_by_notice, known_reason
from agent.link.messages import AgentFacts, Pulse, heartbeat, hello
from shared.contract.reasons import ReasonCode
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.verdict import Verdict
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

WELCOME_SECONDS = 20.0
WRITE_SECONDS = 20.0
VERDICT_SECONDS = 2.0
"""How long the relay's own status may take to arrive after a write failed."""
HEARTBEAT_SPREAD = 0.2


class SessionListener(Protocol):
    """Who hears what the relay says. Nothing here may block for long."""

    async def welcomed(self, welcome: pb.Welcome) -> None:
        """The session counts; its epoch must be durable when this returns."""
        ...

    def beaten(self) -> None:
        """A heartbeat was sent."""
        ...

    def desired_changed(self, traceparent: str | None) -> None:
        """A hint to fetch the desired document."""
        ...

    def inventory_resync(self) -> None:
        """Send the whole inventory."""
        ...

    def inventory_acknowledged(self, checksum: str) -> None:
        """The relay has stored the inventory of this checksum."""
        ...

    def ca_bundle(self, bundle_pem: str) -> None:
        """The roots to trust from now on; to be stored before the heartbeats say so."""
        ...

    def noticed(self, reason: ReasonCode | None, message: str) -> None:
        """The relay says something about the agent; None for a reason this agent does not know."""
        ...


class OutgoingInventory(Protocol):
    """Where inventory messages come from, at the pace that the stream takes them."""

    def checksum(self) -> str:
        """Of what was last acknowledged; empty for nothing."""
        ...

    def begin_session(self) -> None:
        """What was under way in an earlier stream is lost."""
        ...

    async def next_message(self) -> pb.AgentMessage:
        """The next message, once there is one."""
        ...


@dataclass(frozen=True)
class Opening:
    """What a session starts from."""

    facts: AgentFacts
    epoch: int
    acknowledged: int
    digest: str
    ca_bundle: str = ""
    """Digest of the roots that the agent trusts."""


@dataclass
class Session:
    """One stream."""

    clock: Clock
    random: Random
    listener: SessionListener
    inventory: OutgoingInventory
    pulse: Callable[[], Pulse]
    heartbeat_limit_seconds: float | None = None
    """The resource's own `heartbeatSeconds`: never slower than the relay asks for."""
    _stop: asyncio.Future[Ended] = field(init=False)

    def __post_init__(self) -> None:
        self._stop = asyncio.get_running_loop().create_future()

    def end(self, ended: Ended) -> None:
        """End the stream from this side; the first reason given counts."""
        if not self._stop.done():
            self._stop.set_result(ended)

    async def run(self, stub: Any, opening: Opening) -> Ended:
        """Open the stream and keep it until either side ends it."""
        call = stub.Connect()
        verdict = Verdict(call)
        welcomed = False
        try:
            self.inventory.begin_session()
            welcome = await self._open(call, opening)
            await self.listener.welcomed(welcome)
            welcomed = True
            ended = await self._keep(call, welcome.heartbeat_seconds)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            # A notice that came just before says more than the status that follows it.
            said = await verdict.of(error, seconds=VERDICT_SECONDS)
            ended = self._stop.result() if self._stop.done() else ended_by(said)
        except TimeoutError:
            ended = Ended(End.BROKEN, "the relay does not answer in time")
        finally:
            call.cancel()
        return replace(ended, welcomed=welcomed)

    async def _open(self, call: Any, opening: Opening) -> pb.Welcome:
        async with asyncio.timeout(WELCOME_SECONDS):
            await call.write(
                hello(
                    opening.facts,
                    epoch=opening.epoch,
                    acknowledged=opening.acknowledged,
                    digest=opening.digest,
                    inventory=self.inventory.checksum(),
                    ca_bundle=opening.ca_bundle,
                    now=self.clock.now(),
                )
            )
            while (message := await call.read()) is not grpc.aio.EOF:
                if message.WhichOneof("body") == "welcome":
                    welcome: pb.Welcome = message.welcome
                    return welcome
                self._hear(message)
        raise TimeoutError  # the relay ended the stream without a welcome and without an error

    async def _keep(self, call: Any, heartbeat_seconds: float) -> Ended:
        """Pump in both directions; returns with the first reason to end."""
        limit = self.heartbeat_limit_seconds
        interval = min(heartbeat_seconds, limit) if limit else heartbeat_seconds
        pumps: list[asyncio.Future[Any]] = [
            asyncio.create_task(self._read(call)),
            asyncio.create_task(self._write(call, interval)),
        ]
        try:
            await asyncio.wait({self._stop, *pumps}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            outcomes = await asyncio.gather(*pumps, return_exceptions=True)
        if self._stop.done():
            return self._stop.result()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return Ended(End.BROKEN, "the relay ended the stream")

    async def _read(self, call: Any) -> None:
        while (message := await call.read()) is not grpc.aio.EOF:
            self._hear(message)

    def _hear(self, message: pb.RelayMessage) -> None:
        match message.WhichOneof("body"):
            case "desired_changed":
                self.listener.desired_changed(message.traceparent or None)
            case "inventory_resync":
                self.listener.inventory_resync()
            case "ack":
                if message.ack.inventory_checksum:
                    self.listener.inventory_acknowledged(message.ack.inventory_checksum)
            case "ca_bundle":
                self.listener.ca_bundle(message.ca_bundle.bundle)
            case "drain":
                seconds = message.drain.spread_seconds
                self.end(Ended(End.DRAINED, "the relay drains", spread_seconds=seconds))
            case "notice":
                reason = known_reason(message.notice.reason)
                self.listener.noticed(reason, message.notice.message)
                if (ended := ended_by_notice(reason, message.notice.message)) is not None:
                    self.end(ended)
            case other:
                # A relay of a later release may say more; what is not known is not needed.
                log.info("unknown message from the relay", kind=str(other))

    async def _write(self, call: Any, interval: float) -> None:
        """One writer: heartbeats in their time, inventory in between."""
        sequence = 0
        due = self.clock.monotonic()
        upcoming = asyncio.ensure_future(self.inventory.next_message())
        try:
            while True:
                wait = max(0.0, due - self.clock.monotonic())
                await asyncio.wait([upcoming], timeout=wait)
                if self.clock.monotonic() >= due:
                    sequence += 1
                    await _send(call, heartbeat(sequence, self.pulse(), self.clock.now()))
                    due = self.clock.monotonic() + spread(interval, HEARTBEAT_SPREAD, self.random)
                    self.listener.beaten()
                elif upcoming.done():
                    await _send(call, upcoming.result())
                    upcoming = asyncio.ensure_future(self.inventory.next_message())
        finally:
            upcoming.cancel()


async def _send(call: Any, message: pb.AgentMessage) -> None:
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await call.write(message)
    except asyncio.InvalidStateError:
        # The call has ended; its reader gets the status, which says why.
        await asyncio.Event().wait()
