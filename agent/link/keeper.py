"""Keeps a stream to the relay: reconnects, paces itself, and says how the connection is.

After a failure the wait is anywhere below a ceiling that doubles from 1 s to 120 s, so that a
fleet comes back spread out; a stream that lasted makes the ceiling small again. Without a stream
the agent works on: it polls, and it keeps what it holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from agent.backoff import Backoff, Random
from agent.clock import Clock
from agent.credentials.identity import Identity
from agent.link.channel import relay_stub
from agent.link.endings import End, Ended, ended_by
from agent.link.session import Opening, Session
from agent.waiting import wait_for
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

LASTING_SECONDS = 20.0
"""A stream that lived this long was a good one: the failures before it do not count any more."""
DUPLICATE_FLOOR_SECONDS = 10.0
"""The other session won: coming back at once would only take turns with it."""
EARLY_AGAIN_SECONDS = 30.0
"""How soon a refused certificate or a suspended tenant is tried again, in case that has changed."""


@dataclass
class LinkKeeper:
    """Runs one session after the other."""

    clock: Clock
    random: Random
    identity: Callable[[], Identity]
    address: Callable[[], str]
    new_session: Callable[[], Session]
    opening: Callable[[], Opening]
    on_end: Callable[[Ended], None]
    backoff: Backoff = field(default_factory=Backoff)
    _session: Session | None = None
    _again: asyncio.Event = field(default_factory=asyncio.Event)

    def replace(self, why: str) -> None:
        """End the session there is, and take a new one at once."""
        if self._session is not None:
            self._session.end(Ended(End.REPLACE, why))

    def retry_now(self) -> None:
        """Do not wait any longer: something changed that lets the next attempt succeed."""
        self._again.set()

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            began = self.clock.monotonic()
            ended = await self._one_session()
            if ended.welcomed and self.clock.monotonic() - began >= LASTING_SECONDS:
                failures = 0
            failures = 0 if ended.end in (End.REPLACE, End.DRAINED) else failures + 1
            delay = wait_after(ended, failures, self.backoff, self.random)
            log.info(
                "stream ended",
                end=ended.end.value,
                detail=ended.detail,
                welcomed=ended.welcomed,
                again_in_seconds=round(delay, 2),
            )
            self.on_end(ended)
            await wait_for(self._again, delay)

    async def _one_session(self) -> Ended:
        self._again.clear()
        self._session = self.new_session()
        try:
            async with relay_stub(self.identity(), self.address()) as stub:
                return await self._session.run(stub, self.opening())
        except grpc.aio.AioRpcError as error:
            return ended_by(error)
        finally:
            self._session = None


def wait_after(ended: Ended, failures: int, backoff: Backoff, random: Random) -> float:
    """Seconds until the next attempt. Pure."""
    match ended.end:
        case End.REPLACE:
            return 0.0
        case End.DRAINED:
            return random() * ended.spread_seconds
        case End.DUPLICATE:
            floor = DUPLICATE_FLOOR_SECONDS
        case End.REVOKED | End.EXPIRED | End.SUSPENDED:
            floor = EARLY_AGAIN_SECONDS
        case End.BROKEN:
            floor = 0.0
    return max(floor, ended.retry_after) + backoff.delay(failures, random)
