"""The conversation on one stream, from the granted epoch to its end.

Reads what the agent sends and turns it into heartbeats and inventories; nothing here answers a
heartbeat. A stream that sends faster than its rate is read more slowly, and gRPC's flow control
then holds the agent back; the others do not notice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from google.protobuf.message import DecodeError

from relay.endings import Ending
from relay.heartbeats import HeartbeatBuffer
from relay.intake import Assembly, Intake, ProtocolError, refused
from relay.metrics import RelayMetrics
from relay.rates import Rate
from relay.stream import Stream
from relay.trust import TrustKeeper
from shared.contract.errors import ErrorCode
from shared.contract.limits import CLOCK_SKEW_ALLOWED
from shared.contract.reasons import ReasonCode
from shared.domain.errors import ArcBridgeError
from shared.rpc.codec import from_timestamp
from shared.rpc.v1 import relay_pb2 as pb
from shared.services.heartbeats import Heartbeat, is_digest
from shared.services.hot_path import HotPath
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

MESSAGES_PER_SECOND = 10.0
MESSAGES_AT_ONCE = 200
"""More than the chunks of the largest inventory."""
SILENT_INTERVALS = 5
SILENT_EXTRA_SECONDS = 10.0
AGED_DRAIN_SECONDS = 10.0
"""Spread of the reconnect that an aged stream is asked for, and half of what it then has left."""
_INT32, _INT64 = 2**31 - 1, 2**63 - 1


class Call(Protocol):
    """The server's side of a stream, as gRPC gives it."""

    async def read(self) -> pb.AgentMessage | object: ...

    async def write(self, message: pb.RelayMessage, /) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """Times of one stream, in seconds of the event loop."""

    heartbeat_seconds: float
    age_seconds: float

    @property
    def silent_seconds(self) -> float:
        """Without any message for this long a stream is given up."""
        return SILENT_INTERVALS * self.heartbeat_seconds + SILENT_EXTRA_SECONDS


@dataclass(frozen=True, slots=True)
class Hall:
    """What all sessions of the process share."""

    cp: HotPath
    buffer: HeartbeatBuffer
    intake: Intake
    metrics: RelayMetrics
    trust: TrustKeeper
    relay_id: str


class Session:
    """One stream's conversation."""

    __slots__ = (
        "_age_timer", "_assembly", "_call", "_dies", "_hall", "_leaves", "_limits", "_rate",
        "_skew_told", "_stream",
    )  # fmt: skip

    def __init__(self, hall: Hall, call: Call, stream: Stream, limits: SessionLimits) -> None:
        self._hall = hall
        self._call = call
        self._stream = stream
        self._limits = limits
        self._rate = Rate(MESSAGES_PER_SECOND, MESSAGES_AT_ONCE)
        self._assembly = Assembly()
        self._skew_told = False
        loop = asyncio.get_running_loop()
        left = stream.not_after - hall.cp.clock()
        self._dies = loop.time() + left.total_seconds()
        self._leaves = float("inf")
        self._age_timer = loop.call_later(limits.age_seconds, self._grow_old)

    async def converse(self) -> Ending:
        """Talk until the stream ends; why it did."""
        stream = self._stream
        stream.scope = scope = asyncio.timeout_at(self._deadline())
        try:
            async with scope:
                return stream.ending or await self._read_all()
        except TimeoutError:
            if not scope.expired():
                raise
            return stream.ending or self._what_ran_out()
        except ProtocolError as error:
            log.info("stream malformed", cluster=str(stream.key), detail=str(error))
            return Ending.MALFORMED
        except DecodeError:
            return Ending.MALFORMED
        finally:
            self._age_timer.cancel()
            self._hall.intake.drop(self._assembly)

    async def _read_all(self) -> Ending:
        loop = asyncio.get_running_loop()
        while True:
            message = await self._call.read()
            if not isinstance(message, pb.AgentMessage):  # grpc.aio.EOF
                return Ending.LEFT
            pause = self._rate.take(loop.time())
            while pause:
                await asyncio.sleep(pause)
                pause = self._rate.take(loop.time())
            self._move_deadline()
            await self._take(message)

    async def _take(self, message: pb.AgentMessage) -> None:
        match message.WhichOneof("body"):
            case "heartbeat":
                self._take_heartbeat(message.heartbeat)
            case "inventory_full" | "inventory_delta":
                await self._take_inventory(message)
            case "hello":
                raise ProtocolError("a second Hello")
            case None:
                # A kind of message that a later release knows: ignored, as protobuf means it.
                return

    def _take_heartbeat(self, beat: pb.Heartbeat) -> None:
        if not 0 < beat.sequence <= _INT64:
            raise ProtocolError("a heartbeat without a sequence")
        now = self._hall.cp.clock()
        skew = skew_of(from_timestamp(beat.agent_time), now)
        self._stream.heartbeat_sequence = max(self._stream.heartbeat_sequence, beat.sequence)
        self._hall.metrics.heartbeats.inc()
        self._hall.buffer.put(
            Heartbeat(
                key=self._stream.key,
                epoch=self._stream.epoch,
                sequence=beat.sequence,
                received_ms=round(now.timestamp() * 1000),
                skew_ms=None if skew is None else round(skew.total_seconds() * 1000),
                extensions=min(beat.extensions, _INT32),
                ready=min(beat.extensions_ready, _INT32),
                failed=min(beat.extensions_failed, _INT32),
                drifted=min(beat.extensions_drifted, _INT32),
                pending=min(beat.reports_pending, _INT32),
                digest=beat.desired_digest if is_digest(beat.desired_digest) else "",
                relay=self._hall.relay_id,
            )
        )
        self._tell_of_skew(skew)
        if beat.ca_bundle_digest and is_digest(beat.ca_bundle_digest):
            self._hall.trust.hold(self._stream, beat.ca_bundle_digest)

    def _tell_of_skew(self, skew: timedelta | None) -> None:
        """Once for each session: an agent with a wrong clock should say so on its cluster."""
        if skew is not None and abs(skew) > CLOCK_SKEW_ALLOWED and not self._skew_told:
            self._skew_told = True
            notice = pb.Notice(
                reason=ReasonCode.CLOCK_SKEWED.value,
                message=f"the agent's clock is {skew.total_seconds():+.0f} s off",
            )
            self._stream.tell(pb.RelayMessage(notice=notice))

    async def _take_inventory(self, message: pb.AgentMessage) -> None:
        stream, intake = self._stream, self._hall.intake
        try:
            if message.WhichOneof("body") == "inventory_full":
                chunk = message.inventory_full
                checksum = await intake.full(stream.key, stream.epoch, self._assembly, chunk)
            else:
                checksum = await intake.delta(stream.key, stream.epoch, message.inventory_delta)
        except ArcBridgeError as error:
            if error.code is ErrorCode.STALE_EPOCH:
                stream.end(Ending.SUPERSEDED)
                return
            if refused(error):
                raise ProtocolError("the inventory cannot be stored") from error
            log.warning("inventory not stored", cluster=str(stream.key), code=error.code)
            checksum = ""
        if checksum is None:
            return
        if checksum:
            ack = pb.Ack(heartbeat_sequence=stream.heartbeat_sequence, inventory_checksum=checksum)
            stream.tell(pb.RelayMessage(ack=ack))
        else:
            stream.tell(pb.RelayMessage(inventory_resync=pb.InventoryResync()))

    def _grow_old(self) -> None:
        """Ask the agent to come again; a while later the stream ends."""
        drain = pb.Drain(spread_seconds=AGED_DRAIN_SECONDS)
        self._stream.tell(pb.RelayMessage(drain=drain))
        self._leaves = asyncio.get_running_loop().time() + 2 * AGED_DRAIN_SECONDS
        self._move_deadline()

    def _deadline(self) -> float:
        silent = asyncio.get_running_loop().time() + self._limits.silent_seconds
        return min(silent, self._dies, self._leaves)

    def _move_deadline(self) -> None:
        scope = self._stream.scope
        # Once it was cut short it stays so.
        if self._stream.ending is None and scope is not None and not scope.expired():
            scope.reschedule(self._deadline())

    def _what_ran_out(self) -> Ending:
        now = asyncio.get_running_loop().time()
        if now >= self._dies:
            return Ending.EXPIRED
        return Ending.AGED if now >= self._leaves else Ending.SILENT


def skew_of(agent_time: datetime | None, now: datetime) -> timedelta | None:
    """How far the agent's clock is ahead; None where it sent no time that can be one."""
    return None if agent_time is None else agent_time - now


def last_word(ending: Ending) -> pb.RelayMessage | None:
    """What the agent is told on the stream before it ends."""
    how = ending.value
    if how.notice is None:
        return None
    return pb.RelayMessage(notice=pb.Notice(reason=how.notice.value, message=how.detail))
