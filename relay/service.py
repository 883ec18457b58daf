"""The gRPC service: opens streams and renews certificates for whom the certificate names."""

from __future__ import annotations

import asyncio
import random
import re
import time
from typing import Any

from google.protobuf.message import DecodeError

from relay.admission import Admission
from relay.endings import Ending
from relay.gate import Gate
from relay.peer import PeerReader, key_of
from relay.registry import Registry
from relay.releases import Releases
from relay.resources import Resources
from relay.session import Hall, Session, SessionLimits, last_word
from relay.settings import RelaySettings
from relay.stream import Stream
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity.peer import Peer, PeerRefusedError
from shared.rpc.codec import to_timestamp
from shared.rpc.status import status_of, trailers_of
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.v1 import relay_pb2_grpc as rpc
from shared.services import certificates
from shared.services.heartbeats import is_digest
from shared.services.sessions import Applicant, Grant
from shared.telemetry.logs import get_logger
from shared.telemetry.tracing import Kind, span, traceparent

log = get_logger(__name__)

_INSTANCE = re.compile(r"[\x21-\x7e]{1,64}")
_FACT_LENGTH = 128
RENEW_SECONDS = 20.0


class RelayService(rpc.AgentRelayServicer):
    """Serves agents; holds nothing but the streams that are open."""

    def __init__(
        self,
        settings: RelaySettings,
        resources: Resources,
        hall: Hall,
        peers: PeerReader,
        gate: Gate,
        registry: Registry,
        admission: Admission,
        releases: Releases,
    ) -> None:
        self._settings = settings
        self._resources = resources
        self._hall = hall
        self._peers = peers
        self._gate = gate
        self._registry = registry
        self._admission = admission
        self._releases = releases

    async def Connect(self, _requests: Any, context: Any) -> None:
        """One agent's stream, from Hello to its end."""
        peer: Peer | None = None
        try:
            peer = self._peers.read(context.auth_context(), self._hall.cp.clock())
            with self._gate.passing(key_of(peer), time.monotonic()):
                hello, parent = await self._hello(context)
                ending = await self._serve(context, peer, hello, parent)
        except ArcBridgeError as error:
            self._log_refusal(peer, context, error)
            await _abort(context, error)
        else:
            await _finish(context, ending)

    async def RenewCertificate(
        self, request: pb.RenewCertificateRequest, context: Any
    ) -> pb.RenewCertificateResponse:
        """A certificate for a new key, for the holder of a good one."""
        outcome = "failed"
        try:
            peer = self._peers.read(context.auth_context(), self._resources.clock())
            with span("relay renew", kind=Kind.SERVER) as current:
                current.set_attribute("arcbridge.cluster", str(key_of(peer)))
                async with asyncio.timeout(RENEW_SECONDS):
                    renewed = await certificates.renew(
                        self._resources,
                        tenant=peer.tenant,
                        cluster_id=peer.cluster_id,
                        csr=request.csr,
                        presented_serial=peer.serial,
                    )
            outcome = "renewed"
        except TimeoutError:
            await _abort(context, ArcBridgeError(ErrorCode.UNAVAILABLE, "not renewed in time"))
        except ArcBridgeError as error:
            outcome = error.code.value
            await _abort(context, error)
        finally:
            self._hall.metrics.renewals.labels(outcome).inc()
        log.info("certificate renewed", cluster=str(key_of(peer)), serial=renewed.serial)
        return pb.RenewCertificateResponse(
            certificate_chain=renewed.certificate_chain,
            ca_bundle=renewed.ca_bundle,
            not_after=to_timestamp(renewed.not_after),
            serial=renewed.serial,
        )

    async def _serve(self, context: Any, peer: Peer, hello: pb.Hello, parent: str) -> Ending:
        """Admit the stream and talk on it; why it ended. Raises ArcBridgeError when refused."""
        key = key_of(peer)
        with self._registry.expecting(key):
            with span("relay connect", parent=parent or None, kind=Kind.SERVER) as current:
                current.set_attribute("arcbridge.cluster", str(key))
                grant = await self._admission.grant(_applicant(peer, hello))
            stream = Stream(
                context,
                key,
                epoch=grant.epoch,
                instance_id=hello.instance_id,
                serial=peer.serial,
                not_after=peer.not_after,
                send_seconds=self._settings.send_seconds,
            )
            self._registry.add(stream)
        began = time.monotonic()
        ending = Ending.FAILED
        try:
            self._welcome(stream, hello, grant)
            self._hall.trust.greet(stream, _bundle_of(hello))
            self._log_connect(context, stream, hello, grant)
            ending = await Session(self._hall, context, stream, self._limits()).converse()
        except asyncio.CancelledError:
            # How gRPC says that the connection is gone; also how a process ends that has no time.
            ending = stream.ending or Ending.LEFT
            raise
        finally:
            self._registry.remove(stream)
            self._releases.add(stream)
            self._log_end(stream, ending, time.monotonic() - began)
            await stream.close(last_word(ending))
        return ending

    def _limits(self) -> SessionLimits:
        """Ages differ by a tenth either way, so that what connected together leaves spread."""
        factor = random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, no secret
        return SessionLimits(
            heartbeat_seconds=self._settings.heartbeat_seconds,
            age_seconds=self._settings.stream_age_seconds * factor,
        )

    async def _hello(self, context: Any) -> tuple[pb.Hello, str]:
        """The first message, and the trace it belongs to. Raises InvalidRequest."""
        try:
            async with asyncio.timeout(self._settings.hello_seconds):
                message = await context.read()
        except TimeoutError:
            raise _malformed("no Hello in time") from None
        except DecodeError:
            raise _malformed("the first message cannot be read") from None
        if not isinstance(message, pb.AgentMessage) or message.WhichOneof("body") != "hello":
            raise _malformed("the first message is no Hello")
        hello = message.hello
        if not _INSTANCE.fullmatch(hello.instance_id):
            raise _malformed("Hello needs an instance id of 1 to 64 printable characters")
        return hello, message.traceparent

    def _welcome(self, stream: Stream, hello: pb.Hello, grant: Grant) -> None:
        welcome = pb.Welcome(
            session_epoch=grant.epoch,
            heartbeat_seconds=self._settings.heartbeat_seconds,
            server_time=to_timestamp(self._hall.cp.clock()),
            relay_id=self._hall.relay_id,
            report_again=grant.has_lost_reports,
        )
        stream.tell(pb.RelayMessage(welcome=welcome, traceparent=traceparent() or ""))
        if hello.inventory_checksum != grant.inventory_checksum or not grant.inventory_checksum:
            stream.tell(pb.RelayMessage(inventory_resync=pb.InventoryResync()))
        if grant.is_behind or not hello.desired_digest:
            stream.tell(pb.RelayMessage(desired_changed=pb.DesiredChanged()))
        self._hall.metrics.connects.inc()
        self._hall.metrics.streams.inc()

    def _log_connect(self, context: Any, stream: Stream, hello: pb.Hello, grant: Grant) -> None:
        log.info(
            "stream opened",
            tenant=stream.key.tenant,
            cluster=stream.key.cluster_id,
            epoch=stream.epoch,
            held_epoch=hello.last_session_epoch,
            instance=stream.instance_id,
            serial=stream.serial,
            agent_version=hello.agent_version,
            taken_over=grant.taken_over,
            report_again=grant.has_lost_reports,
            peer=context.peer(),
        )

    def _log_end(self, stream: Stream, ending: Ending, seconds: float) -> None:
        self._hall.metrics.streams.dec()
        self._hall.metrics.endings.labels(ending.value.label).inc()
        log.info(
            "stream closed",
            tenant=stream.key.tenant,
            cluster=stream.key.cluster_id,
            epoch=stream.epoch,
            reason=ending.value.label,
            seconds=round(seconds, 3),
            heartbeats=stream.heartbeat_sequence,
        )

    def _log_refusal(self, peer: Peer | None, context: Any, error: ArcBridgeError) -> None:
        self._hall.metrics.refusals.labels(error.code.value).inc()
        log.info(
            "stream refused",
            cluster=str(key_of(peer)) if peer else None,
            code=error.code,
            detail=error.flaw if isinstance(error, PeerRefusedError) else error.detail,
            peer=context.peer(),
        )


def _applicant(peer: Peer, hello: pb.Hello) -> Applicant:
    return Applicant(
        key=key_of(peer),
        serial=peer.serial,
        instance_id=hello.instance_id,
        held_epoch=hello.last_session_epoch,
        acknowledged_sequence=hello.acknowledged_sequence,
        agent_version=_fact(hello.agent_version),
        kubernetes_version=_fact(hello.kubernetes_version),
        distribution=_fact(hello.distribution),
        ca_bundle=_bundle_of(hello),
    )


def _bundle_of(hello: pb.Hello) -> str:
    """The digest of the roots that the agent trusts; empty where it does not say."""
    return hello.ca_bundle_digest if is_digest(hello.ca_bundle_digest) else ""


def _fact(text: str) -> str:
    """What an agent says of its cluster, in a form that can be stored and shown."""
    return "".join(ch for ch in text[:_FACT_LENGTH] if ch.isprintable())


def _malformed(detail: str) -> ArcBridgeError:
    return ArcBridgeError(ErrorCode.INVALID_REQUEST, detail)


async def _abort(context: Any, error: ArcBridgeError) -> None:
    trailers = trailers_of(
        error.code,
        retry_after=error.retry_after,
        reason=error.reason.value if error.reason else None,
    )
    await context.abort(status_of(error.code), error.detail, trailers)


async def _finish(context: Any, ending: Ending) -> None:
    how = ending.value
    if how.code is None:
        return
    reason = how.notice.value if how.notice else None
    await context.abort(ending.status, how.detail, trailers_of(how.code, reason=reason))
