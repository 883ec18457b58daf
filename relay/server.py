"""One relay: its ports, its tasks, and the order in which they start and end.

Started, it serves until it is drained: it refuses new streams, asks the agents to come back within
the spread, waits that long for them to leave, ends the rest, and hands on what it holds. A task of
its own that fails takes the whole process down, because half a relay is worse than none: the agents
go to another one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import grpc

from relay.admission import BATCHES_AT_ONCE, Admission
from relay.endings import Ending
from relay.fencing import Fencing
from relay.gate import Gate
from relay.heartbeats import HeartbeatBuffer, HeartbeatFlusher
from relay.http import Answer, Route, http_server, yes_or_no
from relay.intake import Intake
from relay.metrics import RelayMetrics
from relay.peer import PeerReader
from relay.registry import Registry
from relay.releases import Releases
from relay.resources import Resources
from relay.service import RelayService
from relay.session import SILENT_INTERVALS, Hall
from relay.settings import RelaySettings
from relay.tls import ServerIdentity
from relay.trust import TrustKeeper
from relay.wakes import OutboxDrain, WakeListener
from shared.contract.limits import GRPC_MESSAGE_BYTES, STREAMS_PER_CONNECTION
from shared.domain.errors import ArcBridgeError
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.v1 import relay_pb2_grpc as rpc
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import Registry as MetricsRegistry

log = get_logger(__name__)

HANDSHAKE_SECONDS = 10
PING_SECONDS = 30
PING_ANSWER_SECONDS = 10
PINGS_ALLOWED_FROM_SECONDS = 20
CLOSING_SECONDS = 5.0
CANCEL_AGAIN_SECONDS = 0.5
CONNECTION_AGE_FACTOR = 1.5
"""Streams are aged by their sessions; the transport's own limit is for connections without one."""


def transport_options(settings: RelaySettings) -> list[tuple[str, int]]:
    """gRPC's channel arguments (grpc/grpc, include/grpc/impl/channel_arg_names.h)."""
    connection_age_seconds = settings.stream_age_seconds * CONNECTION_AGE_FACTOR
    return [
        ("grpc.max_receive_message_length", GRPC_MESSAGE_BYTES),
        ("grpc.max_send_message_length", GRPC_MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
        ("grpc.max_metadata_size", 8 * 1024),
        ("grpc.absolute_max_metadata_size", 16 * 1024),
        ("grpc.max_allowed_incoming_connections", settings.relay_connections),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_SECONDS * 1000),
        ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", PING_ANSWER_SECONDS * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", PINGS_ALLOWED_FROM_SECONDS * 1000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_connection_age_ms", round(connection_age_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", 60_000),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.so_reuseport", 0),
    ]


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which psycopg waits with, swallows a
    cancellation that comes together with the result (python/cpython#86296).
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)


class RelayServer:
    """The parts of one relay, wired together."""

    def __init__(self, settings: RelaySettings, resources: Resources) -> None:
        self._settings = settings
        self._resources = resources
        self.metrics = RelayMetrics(MetricsRegistry())
        self.registry = Registry()
        self.port = 0
        self.http_port = 0
        self._gate = Gate()
        self._buffer = HeartbeatBuffer()
        self._flusher = HeartbeatFlusher(resources, self._buffer, self.metrics)
        self._releases = Releases(resources, settings.name)
        self._fencing = Fencing(resources, self.registry, self.metrics, settings.fencing_seconds)
        self._admission = Admission(
            resources,
            self.metrics,
            relay_id=settings.name,
            alive_within=timedelta(seconds=SILENT_INTERVALS * settings.heartbeat_seconds),
            most_waiting=settings.admission_queue,
            wait_seconds=settings.admission_seconds,
        )
        self._tls = ServerIdentity(
            resources.ca, settings.relay_host_names, resources.clock, self.metrics
        )
        self._trust = TrustKeeper(resources, self.registry, self._tls, settings.name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RelayServer]:
        """Serve for the length of the block, then drain."""
        settings = self._settings
        server = grpc.aio.server(options=transport_options(settings))
        rpc.add_AgentRelayServicer_to_server(self._service(), server)  # type: ignore[no-untyped-call] # generated
        await self._trust.learn()
        credentials = await self._tls.credentials()
        address = f"{settings.relay_bind}:{settings.relay_port}"
        self.port = server.add_secure_port(address, credentials)
        async with (
            http_server(settings.relay_bind, settings.relay_http_port, self._routes()) as http_port,
            asyncio.TaskGroup() as group,
        ):
            self.http_port = http_port
            tasks = [group.create_task(loop) for loop in self._loops()]
            await server.start()
            log.info("relay started", port=self.port, http_port=http_port, relay=settings.name)
            try:
                yield self
            finally:
                await self._drain(server)
                await ended(tasks)
                await self._releases.flush()
                await self._trust.leave()
                await self._flusher.flush()
                log.info("relay ended", relay=settings.name)

    def _service(self) -> RelayService:
        hall = Hall(
            self._resources,
            self._buffer,
            Intake(self._resources, self.metrics),
            self.metrics,
            self._trust,
            self._settings.name,
        )
        return RelayService(
            self._settings,
            self._resources,
            hall,
            PeerReader(lambda: self._trust.authorities, self._settings.trust_domain),
            self._gate,
            self.registry,
            self._admission,
            self._releases,
        )

    def _loops(self) -> list[Coroutine[Any, Any, None]]:
        settings = self._settings
        listener = WakeListener(
            self._resources,
            self.registry,
            self._fencing,
            self.metrics,
            spread_seconds=settings.wake_spread_seconds,
        )
        return [
            *(self._admission.run() for _ in range(BATCHES_AT_ONCE)),
            self._releases.run(),
            self._flusher.run(settings.flush_seconds),
            self._fencing.run(),
            listener.run(),
            OutboxDrain(self._resources, self.metrics).run(settings.outbox_seconds),
            self._tls.run(),
            self._trust.run(settings.trust_seconds),
        ]

    def _routes(self) -> dict[str, Route]:
        async def live() -> Answer:
            return yes_or_no(True)

        async def ready() -> Answer:
            if self._gate.draining:
                return yes_or_no(False)
            try:
                await self._resources.db.ping()
            except ArcBridgeError:
                return yes_or_no(False)
            return yes_or_no(True)

        async def metrics() -> Answer:
            body, content_type = self.metrics.registry.render()
            return Answer(HTTPStatus.OK, body, content_type)

        return {"/health/live": live, "/health/ready": ready, "/metrics": metrics}

    async def _drain(self, server: grpc.aio.Server) -> None:
        """Let the agents leave in their own time, within the spread."""
        began = time.monotonic()
        self._gate.draining = True
        spread = self._settings.drain_seconds
        streams = self.registry.all()
        log.info("relay drains", streams=len(streams), spread_seconds=spread)
        for stream in streams:
            stream.tell(pb.RelayMessage(drain=pb.Drain(spread_seconds=spread)))
        with suppress(TimeoutError):
            async with asyncio.timeout(spread):
                await self.registry.empty.wait()
        left = self.registry.all()
        for stream in left:
            stream.end(Ending.DRAINED)
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * CLOSING_SECONDS):
                await server.stop(CLOSING_SECONDS)
        seconds = round(time.monotonic() - began, 3)
        log.info("relay drained", seconds=seconds, cut_off=len(left))
