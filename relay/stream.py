"""One open stream: its place in the world, what waits to be sent on it, and how it is ended.

Whoever wants something of a stream calls `tell` or `end`; both only leave a note and return. The
stream's own handler does the reading and the ending, and one task at a time does the sending.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Protocol

import grpc

from relay.endings import Ending
from relay.mailbox import Mailbox
from shared.rpc.v1 import relay_pb2 as pb
from shared.services.cluster_key import ClusterKey

LAST_WORD_SECONDS = 1.0


class Wire(Protocol):
    """The server's side of a call, as gRPC gives it."""

    async def write(self, message: pb.RelayMessage, /) -> None: ...


class Stream:
    """A stream that holds an epoch."""

    __slots__ = (
        "_mailbox", "_send_seconds", "_sending", "_wire", "aging", "bundle_held", "bundle_told",
        "ending", "epoch", "heartbeat_sequence", "instance_id", "key", "not_after", "scope",
        "serial",
    )  # fmt: skip

    def __init__(
        self,
        wire: Wire,
        key: ClusterKey,
        *,
        epoch: int,
        instance_id: str,
        serial: str,
        not_after: datetime,
        send_seconds: float,
    ) -> None:
        self.key = key
        self.epoch = epoch
        self.instance_id = instance_id
        self.serial = serial
        self.not_after = not_after
        self.heartbeat_sequence = 0
        self.bundle_held = ""
        """Digest of the roots that the agent says it trusts."""
        self.bundle_told = ""
        """Digest of the roots that it was sent last."""
        self.ending: Ending | None = None
        self.aging = False
        self.scope: asyncio.Timeout | None = None
        """The handler's time; it is what `end` cuts short."""
        self._wire: Wire | None = wire
        self._send_seconds = send_seconds
        self._mailbox = Mailbox()
        self._sending: asyncio.Task[None] | None = None

    def tell(self, message: pb.RelayMessage) -> None:
        """Send a message as soon as the agent takes it, in place of an older one of its kind."""
        if self.ending is not None or self._wire is None:
            return
        self._mailbox.put(message)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    def end(self, ending: Ending) -> None:
        """End the stream soon. The first reason given is the one that counts."""
        if self.ending is None:
            self.ending = ending
            if self.scope is not None:
                with suppress(RuntimeError):  # the handler is not in its scope yet, or any more
                    self.scope.reschedule(0)

    async def close(self, last_word: pb.RelayMessage | None) -> None:
        """Stop sending, but for a last word that the agent may take or leave."""
        wire, sending = self._wire, self._sending
        # A task that was cancelled keeps the frames it came through, and those keep this stream: a
        # circle that would hold the call's memory until the garbage collector comes by.
        self._sending = self.scope = self._wire = None
        if sending is not None:
            sending.cancel()
            await asyncio.wait([sending])
        if wire is not None and last_word is not None:
            with suppress(TimeoutError, grpc.RpcError, asyncio.InvalidStateError):
                async with asyncio.timeout(LAST_WORD_SECONDS):
                    await wire.write(last_word)

    async def _send(self) -> None:
        while (wire := self._wire) and (message := self._mailbox.take()):
            try:
                async with asyncio.timeout(self._send_seconds):
                    await wire.write(message)
            except TimeoutError:
                self.end(Ending.STUCK)
                return
            except (grpc.RpcError, asyncio.InvalidStateError):
                return  # the call is over; its handler knows why
