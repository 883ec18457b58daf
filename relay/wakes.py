"""Wake-ups: hears the channel in Redis and tells the streams that are here.

While the channel is not heard wake-ups are lost, and nobody knows which; so after each time away
every stream is told to look once, spread over some time. Also drains the outbox beside those who
write to it, so that a call that was forgotten or failed costs seconds.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from relay.fencing import Fencing
from relay.metrics import RelayMetrics
from relay.registry import Registry
from shared.domain.errors import ArcBridgeError
from shared.rpc.v1 import relay_pb2 as pb
from shared.services import wakeups
from shared.services.hot_path import REDIS_ERRORS, HotPath
from shared.services.wakeups import Topic, Wake
from shared.telemetry.logs import get_logger
from shared.telemetry.tracing import Kind, span, traceparent

log = get_logger(__name__)

SILENCE_SECONDS = 5.0
"""After this long without a message the server is asked whether it is there."""
ANSWER_SECONDS = 2.0
BACKOFF_SECONDS = (0.5, 5.0)
SPREAD_STEPS = 50


class WakeListener:
    """Subscribed to the channel for as long as Redis lets it."""

    def __init__(
        self,
        cp: HotPath,
        registry: Registry,
        fencing: Fencing,
        metrics: RelayMetrics,
        *,
        spread_seconds: float,
    ) -> None:
        self._cp = cp
        self._registry = registry
        self._fencing = fencing
        self._metrics = metrics
        self._spread_seconds = spread_seconds

    async def run(self) -> None:
        """Listen until cancelled, through every loss of Redis."""
        failures = 0
        async with asyncio.TaskGroup() as group:
            while True:
                began = time.monotonic()
                try:
                    await self._listen(group, missed=failures > 0)
                except REDIS_ERRORS as error:
                    log.warning("wake-ups are not heard", error=type(error).__name__)
                self._heard(False)
                failures = 1 if time.monotonic() - began > max(BACKOFF_SECONDS) else failures + 1
                most = min(BACKOFF_SECONDS[1], BACKOFF_SECONDS[0] * 2**failures)
                await asyncio.sleep(random.uniform(BACKOFF_SECONDS[0], most))  # noqa: S311 - no secret

    async def _listen(self, group: asyncio.TaskGroup, *, missed: bool) -> None:
        async with self._cp.redis.pubsub() as channel:
            async with asyncio.timeout(ANSWER_SECONDS):
                await channel.subscribe(wakeups.CHANNEL)
                await channel.get_message(timeout=ANSWER_SECONDS)
            self._heard(True)
            if missed:
                self._catch_up(group)
            while True:
                message = await channel.get_message(timeout=SILENCE_SECONDS)
                if message is None:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await channel.ping()
                        message = await channel.get_message(timeout=ANSWER_SECONDS)
                self._hear(message, group)
                # A message that has arrived already is read without waiting: a flood of them would
                # keep the loop from every stream.
                await asyncio.sleep(0)

    def _hear(self, message: dict[str, Any] | None, group: asyncio.TaskGroup) -> None:
        """Act on one message of the channel."""
        match message:
            case {"type": "message", "data": data}:
                wake = wakeups.decode(data)
                if wake is not None:
                    self.deliver(wake)
            case {"type": "subscribe"}:
                # The client has connected anew by itself: something may have been missed.
                self._catch_up(group)
            case _:  # silence, or the answer to a ping
                return

    def _catch_up(self, group: asyncio.TaskGroup) -> None:
        """What may have been missed while the channel was not heard."""
        group.create_task(self._wake_everyone())
        self._fencing.look_soon()

    def _heard(self, heard: bool) -> None:
        self._fencing.hints_arrive = heard
        self._metrics.subscribed.set(int(heard))

    def deliver(self, wake: Wake) -> None:
        """Hand a wake-up to the streams that are here."""
        match wake.topic:
            case Topic.SESSION:
                self._fencing.suspect(wake.clusters.items())
            case Topic.REVOKED:
                if any(self._registry.get(key) for key in wake.clusters):
                    self._fencing.look_soon()
            case Topic.DESIRED:
                self._wake(wake)

    def _wake(self, wake: Wake) -> None:
        here = [stream for key in wake.clusters if (stream := self._registry.get(key))]
        if not here:
            return
        with span("relay wake", parent=wake.traceparent, kind=Kind.CONSUMER) as current:
            current.set_attribute("arcbridge.streams", len(here))
            message = pb.RelayMessage(
                desired_changed=pb.DesiredChanged(), traceparent=traceparent() or ""
            )
            for stream in here:
                stream.tell(message)
        self._metrics.wakeups.labels("desired").inc(len(here))

    async def _wake_everyone(self) -> None:
        """Tell each stream that is here to look, in random order, a part at a time."""
        streams = self._registry.all()
        random.shuffle(streams)
        log.info("every stream is told to look", streams=len(streams))
        step = max(1, -(-len(streams) // SPREAD_STEPS))
        for start in range(0, len(streams), step):
            for stream in streams[start : start + step]:
                stream.tell(pb.RelayMessage(desired_changed=pb.DesiredChanged()))
                self._metrics.wakeups.labels("missed").inc()
            await asyncio.sleep(self._spread_seconds / SPREAD_STEPS)


class OutboxDrain:
    """Sends what lies in the outbox, every few seconds."""

    def __init__(self, cp: HotPath, metrics: RelayMetrics) -> None:
        self._cp = cp
        self._metrics = metrics

    async def run(self, every_seconds: float) -> None:
        """Drain until cancelled."""
        while True:
            await asyncio.sleep(every_seconds * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            try:
                self._metrics.outbox_sent.inc(await wakeups.send(self._cp))
            except (ArcBridgeError, *REDIS_ERRORS) as error:
                log.warning("the outbox cannot be drained", error=type(error).__name__)
