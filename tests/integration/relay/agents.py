"""Agents as small as they can be: a real key, a real certificate, a real gRPC channel."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import grpc
import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.identity.file_issuer import FileIssuer
from shared.identity.spiffe import SpiffeId
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.v1 import relay_pb2_grpc as rpc
from shared.rpc.verdict import Verdict
from shared.services.cluster_key import ClusterKey

TRUST_DOMAIN = "arcbridge.local"
WAIT = 20.0
"""A deadline, not a pause: long enough for a machine that has much else to do."""


@dataclass(frozen=True)
class Credential:
    """What an agent holds after it has registered."""

    key: ClusterKey
    serial: str
    private_key: bytes
    chain: bytes
    roots: bytes
    not_after: datetime


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


async def issue(issuer: FileIssuer, key: ClusterKey) -> Credential:
    """A certificate as registration would issue it, not stored yet."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    issued = await issuer.issue_agent(
        private_key.public_key(),
        spiffe_id=SpiffeId(TRUST_DOMAIN, key.tenant, key.cluster_id),
        now=datetime.now(UTC),
    )
    return Credential(
        key=key,
        serial=issued.serial,
        private_key=pem_of(private_key),
        chain=issued.pem_chain.encode(),
        roots=issuer.authority.bundle.encode(),
        not_after=issued.not_after,
    )


def odd_certificate(
    issuer: FileIssuer,
    key: ClusterKey,
    *,
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
    uri: str | None = None,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> Credential:
    """A leaf signed by our own CA with what the CA itself would never put into one."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = uri or str(SpiffeId(TRUST_DOMAIN, key.tenant, key.cluster_id))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")]))
        .issuer_name(issuer.authority.issuing.subject)
        .public_key(private_key.public_key())
        .serial_number(secrets.randbits(120))
        .not_valid_before(not_before or now - timedelta(minutes=5))
        .not_valid_after(not_after or now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)]), critical=False
        )
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    leaf = builder.sign(issuer._key, hashes.SHA256())
    chain = [leaf, issuer.authority.issuing]
    return Credential(
        key=key,
        serial=f"{leaf.serial_number:x}",
        private_key=pem_of(private_key),
        chain=b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain),
        roots=issuer.authority.bundle.encode(),
        not_after=leaf.not_valid_after_utc,
    )


class Link:
    """One stream of one agent."""

    def __init__(self, call: grpc.aio.StreamStreamCall, instance: str) -> None:
        self.call = call
        self.instance = instance
        self.welcome: pb.Welcome | None = None
        self._sequence = 0
        # gRPC ends the whole call when one read is cancelled; so one task reads, and never is.
        self._arrived: asyncio.Queue[pb.RelayMessage | Exception] = asyncio.Queue()
        self._verdict = Verdict(call)
        self._pump = asyncio.create_task(self._read_all())

    async def say(self, message: pb.AgentMessage) -> None:
        try:
            async with asyncio.timeout(WAIT):
                await self.call.write(message)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise await self._verdict.of(error, seconds=WAIT) from None

    async def beat(self, **fields: object) -> None:
        self._sequence += 1
        await self.say(pb.AgentMessage(heartbeat=pb.Heartbeat(sequence=self._sequence, **fields)))

    async def read(self) -> pb.RelayMessage:
        """The next message. Raises AioRpcError when the relay ended the call with an error."""
        async with asyncio.timeout(WAIT):
            found = await self._arrived.get()
        if isinstance(found, Exception):
            self._arrived.put_nowait(found)
            raise found
        return found

    async def _read_all(self) -> None:
        try:
            while (message := await self.call.read()) is not grpc.aio.EOF:
                self._arrived.put_nowait(message)
            self._arrived.put_nowait(StreamEndedError(await self.call.code()))
        except grpc.aio.AioRpcError as error:
            self._arrived.put_nowait(await self._verdict.of(error, seconds=WAIT))
        except asyncio.CancelledError:
            self._arrived.put_nowait(StreamEndedError(grpc.StatusCode.CANCELLED))

    async def heard(self, body: str) -> pb.RelayMessage:
        """The next message of a kind; others are passed over."""
        while (message := await self.read()).WhichOneof("body") != body:
            pass
        return message

    async def hears_nothing(self, body: str, seconds: float) -> bool:
        """True when no message of that kind comes for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self.heard(body)
        except TimeoutError:
            return True
        return False

    async def end(self) -> tuple[list[pb.RelayMessage], grpc.StatusCode]:
        """What is still said until the relay ends the stream, and how it ends."""
        said = []
        try:
            while True:
                said.append(await self.read())
        except StreamEndedError as ended:
            return said, ended.code
        except grpc.aio.AioRpcError as error:
            return said, error.code()


class StreamEndedError(Exception):
    """The relay ended the stream."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code)
        self.code = code


def channel(
    credential: Credential, port: int, *, options: tuple[tuple[str, object], ...] = ()
) -> grpc.aio.Channel:
    """A connection of its own, as each agent process has one."""
    credentials = grpc.ssl_channel_credentials(
        credential.roots, credential.private_key, credential.chain
    )
    return grpc.aio.secure_channel(
        f"localhost:{port}",
        credentials,
        options=[
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
            *options,
        ],
    )


@asynccontextmanager
async def dialled(
    credential: Credential, port: int, *, instance: str = "a", greet: bool = True, **hello: object
) -> AsyncIterator[Link]:
    """An open stream that has said Hello and, with `greet`, heard Welcome."""
    async with channel(credential, port) as connection:
        call = rpc.AgentRelayStub(connection).Connect()
        link = Link(call, instance)
        await link.say(pb.AgentMessage(hello=pb.Hello(instance_id=instance, **hello)))
        if greet:
            link.welcome = (await link.heard("welcome")).welcome
        try:
            yield link
        finally:
            call.cancel()


def store(owner_url: str, credential: Credential, *, state: str = "Current") -> None:
    """Make the control plane know it."""
    from tests.integration.relay.fleet import add_certificate

    with psycopg.connect(owner_url) as connection, connection.cursor() as cursor:
        add_certificate(
            cursor,
            credential.key,
            credential.serial,
            state=state,
            not_after=credential.not_after,
        )


def add_cluster(owner_url: str, tenant: str, cluster_id: UUID) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute(
            "insert into tenants (tenant_id) values (%s) on conflict do nothing", [tenant]
        )
        connection.execute(
            "insert into clusters (tenant_id, cluster_id, name) values (%s, %s, %s)",
            [tenant, cluster_id, f"c-{cluster_id}"],
        )
