"""A control plane and relay that do on demand what real ones do by accident.

Certificates, mTLS, assertions and the stream are real; what is stood in for is the deciding: this
one loses answers, refuses, drains, revokes and goes away when a test says so. How the real parts
behave is tested with the real parts.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import grpc
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dev.serving import bound_socket
from shared.contract.desired import DesiredDocument, DesiredExtension
from shared.contract.errors import ErrorCode
from shared.contract.registration import RegisterRequest
from shared.contract.status import StatusAck, StatusBatch, StatusEvent
from shared.domain.errors import ArcBridgeError
from shared.identity import assertions, certificates, csr, devca
from shared.identity.documents import new_document_key
from shared.identity.file_issuer import FileIssuer
from shared.identity.spiffe import SpiffeId
from shared.rpc.codec import to_timestamp
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.v1 import relay_pb2_grpc

TENANT = "demo"
AUDIENCE = "https://control.example"


@dataclass
class Held:
    """A certificate that was issued."""

    cluster_id: uuid.UUID
    public_key: bytes
    revoked: bool = False


@dataclass
class Stream:
    """One open stream, as the relay's side sees it."""

    cluster_id: uuid.UUID
    serial: str
    hello: pb.Hello
    epoch: int
    heartbeats: list[pb.Heartbeat] = field(default_factory=list)
    inventory: list[Any] = field(default_factory=list)
    outgoing: asyncio.Queue[pb.RelayMessage | grpc.StatusCode] = field(
        default_factory=asyncio.Queue
    )


class FakeControlPlane:
    """One control plane with its relay, on loopback, under a name of its own where one is given."""

    def __init__(self, ca_dir: Path, host: str | None = None) -> None:
        """With `host`, the API is https under that name, by the CA that it issues with."""
        devca.make(ca_dir)
        self.host = host
        self._ca_dir = ca_dir
        self.issuer = FileIssuer(ca_dir)
        self.leaf_lifetime = timedelta(hours=1)
        self.needs_approval = False
        """Who registers waits for an admin."""
        self.heartbeat_seconds = 0.2
        self.poll_seconds = 30.0
        self.url = ""
        self.relay_address = ""
        self.tokens: dict[str, dict[str, Any]] = {}
        self.held: dict[str, Held] = {}
        self.registrations: list[RegisterRequest] = []
        self.renewals = 0
        self.extensions: tuple[DesiredExtension, ...] = ()
        self.tampered: Callable[[uuid.UUID], DesiredDocument] | None = None
        """What to answer instead of the signed document."""
        self.dates_off = timedelta(0)
        """What somebody between adds to the `Date` of every answer."""
        self.events: dict[uuid.UUID, StatusEvent] = {}
        self.batches: list[StatusBatch] = []
        self.epochs: dict[uuid.UUID, int] = {}
        self.streams: list[Stream] = []
        self.fetches = 0
        self.troubles: dict[str, deque[str]] = {
            call: deque() for call in ("register", "desired", "status")
        }
        """What to do to the next calls: `lose` the answer after the work, or fail with `503`."""

    @property
    def pin(self) -> str:
        return self.issuer.authority.pin

    def new_token(self, name: str) -> str:
        token = f"abt_{TENANT}.{uuid.uuid4().hex}.{uuid.uuid4().hex}"
        self.tokens[token] = {"name": name, "key": None, "cluster_id": None}
        return token

    def document(self, cluster_id: uuid.UUID) -> DesiredDocument:
        return DesiredDocument.build(TENANT, cluster_id, self.extensions)

    def open_streams(self) -> list[Stream]:
        return [stream for stream in self.streams if stream.epoch]

    # HTTP

    async def _register(self, request: Request) -> Response:
        body = RegisterRequest.model_validate_json(await request.body())
        self.registrations.append(body)
        key = csr.public_key_of(body.csr)
        token = self.tokens.get(body.token)
        if token is None or token["name"] != body.cluster_name:
            return problem(403, ErrorCode.REGISTRATION_REFUSED)
        if token["key"] not in (None, certificates.spki(key)):
            return problem(403, ErrorCode.REGISTRATION_REFUSED)
        if self.needs_approval:
            token["key"] = certificates.spki(key)
            return problem(409, ErrorCode.PENDING_APPROVAL)
        known = next(
            (
                t["cluster_id"]
                for t in self.tokens.values()
                if t["name"] == body.cluster_name and t["cluster_id"]
            ),
            None,
        )
        token["key"] = certificates.spki(key)
        token["cluster_id"] = known or uuid.uuid4()
        issued = await self._issue(token["cluster_id"], key)
        if (trouble := self._trouble("register")) is not None:
            return trouble
        return JSONResponse(
            {
                "clusterId": str(token["cluster_id"]),
                "tenant": TENANT,
                "clusterName": body.cluster_name,
                "certificateChain": issued.pem_chain,
                "caBundle": self.issuer.authority.bundle,
                "notAfter": issued.not_after.isoformat(),
                "serial": issued.serial,
                "relayAddress": self.relay_address,
                "audience": AUDIENCE,
                "settings": {
                    "heartbeatSeconds": self.heartbeat_seconds,
                    "pollSeconds": self.poll_seconds,
                },
            }
        )

    async def _desired(self, request: Request) -> Response:
        self.fetches += 1
        cluster_id = self._authenticated(request)
        if cluster_id is None:
            return problem(401, ErrorCode.UNAUTHENTICATED)
        if (trouble := self._trouble("desired")) is not None:
            return trouble
        document = self.document(cluster_id)
        etag = f'"{document.digest}"'
        if self.tampered is not None:
            return JSONResponse(self.tampered(cluster_id).to_wire())
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"ETag": etag})
        return JSONResponse((await self.signed(document)).to_wire(), headers={"ETag": etag})

    async def signed(
        self, document: DesiredDocument, ago: timedelta = timedelta(0)
    ) -> DesiredDocument:
        """As the real one signs it, or signed it with the certificate that it had then."""
        now = datetime.now(UTC) - ago
        key = await new_document_key(self.issuer, trust_domain="arcbridge.local", now=now)
        return key.signed(document, now)

    async def _status(self, request: Request) -> Response:
        cluster_id = self._authenticated(request)
        if cluster_id is None:
            return problem(401, ErrorCode.UNAUTHENTICATED)
        batch = StatusBatch.model_validate_json(await request.body())
        if batch.session_epoch < self.epochs.get(cluster_id, 0):
            return problem(409, ErrorCode.STALE_EPOCH)
        self.batches.append(batch)
        self.events.update({event.id: event for event in batch.events})
        if (trouble := self._trouble("status")) is not None:
            return trouble
        durable = max((event.sequence for event in batch.events), default=0)
        return JSONResponse(StatusAck(durable_sequence=durable).to_wire())

    def _trouble(self, call: str) -> Response | None:
        if not self.troubles[call]:
            return None
        if (trouble := self.troubles[call].popleft()) == "lose":
            return Response(b"", status_code=502)
        return problem(int(trouble), ErrorCode.UNAVAILABLE)

    def _authenticated(self, request: Request) -> uuid.UUID | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            held = self.held[assertions.peek(token)]
            assertions.verify(
                token,
                public_key=held.public_key,
                cluster_id=str(held.cluster_id),
                audience=AUDIENCE,
                now=datetime.now(UTC),
            )
        except (KeyError, ArcBridgeError):
            return None
        return None if held.revoked else held.cluster_id

    async def _issue(
        self, cluster_id: uuid.UUID, key: certificates.PublicKey
    ) -> certificates.IssuedCertificate:
        leaf = await self.issuer.sign(
            certificates.agent_leaf(
                key,
                spiffe_id=SpiffeId("arcbridge.local", TENANT, cluster_id),
                issuer=self.issuer.authority.issuing,
                serial=certificates.serial_from(uuid.uuid4().bytes[: certificates.SERIAL_BYTES]),
                now=datetime.now(UTC),
                lifetime=self.leaf_lifetime,
            )
        )
        issued = certificates.describe(leaf, (self.issuer.authority.issuing,))
        self.held[issued.sha256] = Held(cluster_id, issued.public_key)
        return issued

    # The stream

    async def Connect(self, requests: Any, context: Any) -> AsyncIterator[pb.RelayMessage]:
        leaf = peer_certificate(context)
        held = self.held[certificates.thumbprint(leaf)]
        if held.revoked:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "revoked")
        first = await anext(aiter(requests))
        cluster_id = held.cluster_id
        epoch = self.epochs[cluster_id] = self.epochs.get(cluster_id, 0) + 1
        stream = Stream(cluster_id, f"{leaf.serial_number:x}", first.hello, epoch)
        for older in self.open_streams():
            if older.cluster_id == cluster_id:
                older.outgoing.put_nowait(notice("DuplicateIdentity"))
                older.outgoing.put_nowait(grpc.StatusCode.ABORTED)
        self.streams.append(stream)
        reader = asyncio.create_task(self._read(requests, stream))
        try:
            yield pb.RelayMessage(
                welcome=pb.Welcome(
                    session_epoch=epoch,
                    heartbeat_seconds=self.heartbeat_seconds,
                    server_time=to_timestamp(datetime.now(UTC)),
                    relay_id="fake",
                )
            )
            if first.hello.inventory_checksum not in ("", *self._inventories_told()):
                yield pb.RelayMessage(inventory_resync=pb.InventoryResync())
            while isinstance(message := await stream.outgoing.get(), pb.RelayMessage):
                yield message
            if message is not grpc.StatusCode.OK:
                await context.abort(message, "as the test asked")
        finally:
            stream.epoch = 0
            reader.cancel()

    def _inventories_told(self) -> set[str]:
        """Checksums of the inventories that arrived; of any other the whole is asked for."""
        return {message.checksum for stream in self.streams for message in stream.inventory}

    async def _read(self, requests: Any, stream: Stream) -> None:
        async for message in requests:
            match message.WhichOneof("body"):
                case "heartbeat":
                    stream.heartbeats.append(message.heartbeat)
                case "inventory_full" | "inventory_delta" as kind:
                    stream.inventory.append(getattr(message, kind))
        stream.outgoing.put_nowait(grpc.StatusCode.OK)

    async def RenewCertificate(self, request: Any, context: Any) -> pb.RenewCertificateResponse:
        held = self.held[certificates.thumbprint(peer_certificate(context))]
        self.renewals += 1
        issued = await self._issue(held.cluster_id, csr.public_key_of(request.csr))
        return pb.RenewCertificateResponse(
            certificate_chain=issued.pem_chain,
            ca_bundle=self.issuer.authority.bundle,
            not_after=to_timestamp(issued.not_after),
            serial=issued.serial,
        )

    async def _server_certificate(self) -> tuple[bytes, bytes]:
        """Key and chain, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = ("127.0.0.1", "localhost", *([self.host] if self.host else []))
        issued = await self.issuer.issue_server(
            key.public_key(), host_names=names, now=datetime.now(UTC)
        )
        key_pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return key_pem, issued.pem_chain.encode()

    async def _api_tls(self) -> dict[str, Any]:
        if self.host is None:
            return {}
        key, chain = await self._server_certificate()
        files = {"ssl_keyfile": self._ca_dir / "api.key", "ssl_certfile": self._ca_dir / "api.pem"}
        for file, content in zip(files.values(), (key, chain), strict=True):
            file.write_bytes(content)
        return files

    def _dated(self, app: ASGIApp) -> ASGIApp:
        """The app with a `Date` in its answers, which a proxy may have set."""

        async def dated(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_dated(message: Message) -> None:
                if message["type"] == "http.response.start":
                    date = format_datetime(datetime.now(UTC) + self.dates_off, usegmt=True)
                    message["headers"] = [*message["headers"], (b"date", date.encode())]
                await send(message)

            await app(scope, receive, send_dated)

        return dated

    # Life

    @asynccontextmanager
    async def api(self, port: int = 0) -> AsyncIterator[None]:
        """Serve the REST API for the length of the block."""
        app = Starlette(
            routes=[
                Route("/api/v1/register", self._register, methods=["POST"]),
                Route("/api/v1/desired", self._desired),
                Route("/api/v1/status", self._status, methods=["POST"]),
            ]
        )
        listener = bound_socket(port, "PORT")
        port = listener.getsockname()[1]
        self.url = f"https://{self.host}:{port}" if self.host else f"http://127.0.0.1:{port}"
        config = uvicorn.Config(
            self._dated(app),
            log_config=None,
            lifespan="off",
            date_header=False,
            **await self._api_tls(),
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(server._serve([listener]))
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            yield
        finally:
            server.should_exit = True
            server.force_exit = True
            await task
            listener.close()

    @asynccontextmanager
    async def relay(self, port: int = 0) -> AsyncIterator[None]:
        """Serve the stream for the length of the block."""
        key_pem, chain = await self._server_certificate()
        server = grpc.aio.server(options=[("grpc.http2.min_ping_interval_without_data_ms", 5000)])
        relay_pb2_grpc.add_AgentRelayServicer_to_server(self, server)
        credentials = grpc.ssl_server_credentials(
            [(key_pem, chain)],
            root_certificates=self.issuer.authority.bundle.encode(),
            require_client_auth=True,
        )
        bound = server.add_secure_port(f"127.0.0.1:{port}", credentials)
        self.relay_address = f"{self.host or '127.0.0.1'}:{bound}"
        await server.start()
        try:
            yield
        finally:
            await server.stop(grace=0)

    @asynccontextmanager
    async def running(self, relay_port: int = 0, api_port: int = 0) -> AsyncIterator[None]:
        """Both of them, on free ports or on those they had before."""
        async with self.relay(relay_port), self.api(api_port):
            yield

    def ports(self) -> tuple[int, int]:
        """Of relay and API."""
        return int(self.relay_address.rpartition(":")[2]), int(self.url.rpartition(":")[2])


def notice(reason: str) -> pb.RelayMessage:
    return pb.RelayMessage(notice=pb.Notice(reason=reason, message=reason))


def peer_certificate(context: Any) -> x509.Certificate:
    return x509.load_pem_x509_certificate(context.auth_context()["x509_pem_cert"][0])


def problem(status: int, code: ErrorCode) -> JSONResponse:
    return JSONResponse(
        {"title": code.value, "status": status, "code": code.value, "detail": "by the test"},
        status_code=status,
        media_type="application/problem+json",
    )
