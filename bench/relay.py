"""The relay beside a bare grpc.aio TLS server: memory of an idle stream, CPU of a message.

Both are processes of their own on this machine and get the same load from this one, in the same
run. CPU time is the server's own, so that a slow client does not count. The relay does all its work
on real PostgreSQL and Redis: admission, epochs, coalescing, flushing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.figures import Figure
from dev.backends import Backends, backends
from dev.stack.database import prepare
from dev.tether import tethered
from shared.identity import devca
from shared.identity.file_issuer import FileIssuer
from shared.identity.spiffe import SpiffeId
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.v1 import relay_pb2_grpc as rpc
from shared.services import heartbeats
from shared.services.cluster_key import ClusterKey
from shared.services.heartbeats import Heartbeat
from shared.services.ids import new_id
from shared.store.database import Database

TENANT = "bench"
STREAMS = 1_000
MESSAGES_PER_STREAM = 100
CONNECTS_AT_ONCE = 50
ROWS = 10_000
SETTLE_SECONDS = 2.0
FLUSH_LIMIT_SECONDS = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Credential:
    """One agent's."""

    key: ClusterKey
    serial: str
    channel: grpc.ChannelCredentials


@dataclass(frozen=True)
class Load:
    """What one server made of the load."""

    connect_seconds: float
    connect_cpu_ms: float
    """Of the server, for each stream."""
    stream_kib: float
    message_cpu_us: float
    messages_per_second: float


@dataclass(frozen=True)
class Server:
    """A process under load."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE


def run() -> list[Figure]:
    """Every figure of the relay."""
    return asyncio.run(_run())


async def _run() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        devca.make(directory / "ca")
        async with backends(directory) as servers:
            app_url = await asyncio.to_thread(
                prepare,
                servers.postgres_url,
                create=True,
                password_path=directory / "password",
                tenants=[TENANT],
            )
            owner_url = servers.postgres_url.rpartition("/")[0] + "/arcbridge"
            fleet = await enrol(owner_url, FileIssuer(directory / "ca"), STREAMS)
            async with started(["bench.bare_server", str(directory / "ca")], directory, {}) as bare:
                beside = await load(bare, fleet)
            environ = relay_environ(app_url, servers, directory)
            async with started(["relay"], directory, environ) as relay:
                measured = await load(relay, fleet)
            return [*figures(measured, beside), *await flush_figures(app_url, owner_url)]


def figures(relay: Load, bare: Load) -> list[Figure]:
    """The relay's load beside the bare server's."""
    return [
        Figure("memory of an idle stream", relay.stream_kib, "KiB", bare=bare.stream_kib),
        Figure("server CPU to open a stream", relay.connect_cpu_ms, "ms", bare=bare.connect_cpu_ms),
        Figure(
            f"time until {STREAMS} streams are open", relay.connect_seconds, "s",
            bare=bare.connect_seconds,
        ),
        Figure("server CPU of a heartbeat", relay.message_cpu_us, "us", bare=bare.message_cpu_us),
        Figure(
            "heartbeats (thousands a second, with this client)", relay.messages_per_second / 1000,
            "k/s", bare=bare.messages_per_second / 1000,
        ),
    ]  # fmt: skip


async def load(server: Server, fleet: Sequence[Credential]) -> Load:
    """Open every stream, let them idle, then send heartbeats over all of them."""
    await asyncio.sleep(SETTLE_SECONDS)
    memory, cpu, began = server.resident_bytes(), server.cpu_seconds(), time.monotonic()
    places = asyncio.Semaphore(CONNECTS_AT_ONCE)
    async with AsyncExitStack() as stack:

        async def opened(credential: Credential) -> Any:
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with places:
                channel = await stack.enter_async_context(
                    grpc.aio.secure_channel(f"localhost:{server.port}", credential.channel, options)
                )
                call = rpc.AgentRelayStub(channel).Connect()  # type: ignore[no-untyped-call] # generated
                hello = pb.Hello(instance_id="bench", desired_digest="sha256:0")
                await call.write(pb.AgentMessage(hello=hello))
                await call.read()
                return call

        calls = await asyncio.gather(*(opened(each) for each in fleet))
        connect_seconds = time.monotonic() - began
        await asyncio.sleep(SETTLE_SECONDS)
        connect_cpu = server.cpu_seconds() - cpu
        stream_bytes = (server.resident_bytes() - memory) / len(fleet)
        cpu, began = server.cpu_seconds(), time.monotonic()
        await asyncio.gather(*(beat(call) for call in calls))
        seconds = time.monotonic() - began
        await asyncio.sleep(SETTLE_SECONDS)
        count = len(fleet) * MESSAGES_PER_STREAM
        return Load(
            connect_seconds=connect_seconds,
            connect_cpu_ms=connect_cpu * 1e3 / len(fleet),
            stream_kib=stream_bytes / 1024,
            message_cpu_us=(server.cpu_seconds() - cpu) * 1e6 / count,
            messages_per_second=count / seconds,
        )


async def beat(call: Any) -> None:
    """One stream's heartbeats, as fast as they go."""
    for sequence in range(1, MESSAGES_PER_STREAM + 1):
        await call.write(pb.AgentMessage(heartbeat=pb.Heartbeat(sequence=sequence, extensions=20)))


async def flush_figures(app_url: str, owner_url: str) -> list[Figure]:
    """Storing heartbeats beside an update of the same rows without fence or order."""
    keys = [ClusterKey(TENANT, new_id()) for _ in range(ROWS)]
    add_clusters(owner_url, keys)
    now = datetime.now(UTC)
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.cursor().executemany(
            "insert into sessions (tenant_id, cluster_id, epoch) values (%s, %s, 1)", keys
        )
        connection.execute("analyze")
    stored, bare = [], []
    async with Database.open(app_url) as db:
        for sequence in range(1, 6):
            beats = [
                Heartbeat(
                    key=key, epoch=1, sequence=sequence, skew_ms=0,
                    received_ms=round(now.timestamp() * 1000) + sequence,
                )
                for key in keys
            ]  # fmt: skip
            began = time.monotonic()
            count = await heartbeats.store(db, beats, datetime.now(UTC))
            stored.append(time.monotonic() - began)
            assert count == ROWS
            bare.append(bare_update(owner_url, keys))
    return [
        Figure(f"{ROWS} heartbeats into Postgres", min(stored), "s", FLUSH_LIMIT_SECONDS, min(bare))
    ]


def bare_update(owner_url: str, keys: Sequence[ClusterKey]) -> float:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        began = time.monotonic()
        connection.execute(
            "update sessions s set last_heartbeat = now() from unnest(%s::text[], %s::uuid[])"
            " as i (t, c) where s.tenant_id = i.t and s.cluster_id = i.c",
            [[key.tenant for key in keys], [key.cluster_id for key in keys]],
        )
        return time.monotonic() - began


def add_clusters(owner_url: str, keys: Sequence[ClusterKey]) -> None:
    statement = "copy clusters (tenant_id, cluster_id, name) from stdin"
    with (
        psycopg.connect(owner_url) as connection,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for key in keys:
            copy.write_row((*key, f"c-{key.cluster_id}"))


async def enrol(owner_url: str, issuer: FileIssuer, count: int) -> list[Credential]:
    """Clusters with a certificate each; they share a key, which nothing here looks at."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    keys = [ClusterKey(TENANT, new_id()) for _ in range(count)]
    add_clusters(owner_url, keys)
    roots = issuer.authority.bundle.encode()
    fleet = []
    with psycopg.connect(owner_url) as connection:
        for each in keys:
            issued = await issuer.issue_agent(
                key.public_key(),
                spiffe_id=SpiffeId("arcbridge.local", *each),
                now=datetime.now(UTC),
            )
            connection.execute(
                "insert into certificates (tenant_id, cluster_id, serial, sha256, public_key,"
                " pem_chain, state, not_before, not_after)"
                " values (%s, %s, %s, %s, %s, %s, 'Current', %s, %s)",
                [*each, issued.serial, issued.sha256, issued.public_key, issued.pem_chain,
                 issued.not_before, issued.not_after],
            )  # fmt: skip
            credentials = grpc.ssl_channel_credentials(roots, private, issued.pem_chain.encode())
            fleet.append(Credential(each, issued.serial, credentials))
    return fleet


def relay_environ(app_url: str, servers: Backends, directory: Path) -> dict[str, str]:
    """The relay's settings; only the ready file is still missing."""
    return {
        "ARCBRIDGE_POSTGRES_URL": app_url,
        "ARCBRIDGE_REDIS_URL": servers.redis_url,
        "ARCBRIDGE_CA_DIR": str(directory / "ca"),
        "ARCBRIDGE_RELAY_PORT": "0",
        "ARCBRIDGE_RELAY_HTTP_PORT": "0",
        "ARCBRIDGE_DRAIN_SECONDS": "0",
    }


@asynccontextmanager
async def started(
    module: list[str], directory: Path, environ: dict[str, str]
) -> AsyncIterator[Server]:
    """A server process for the length of the block."""
    ready = directory / f"{module[0]}.json"
    arguments = [*module, str(ready)] if len(module) > 1 else module
    with (directory / f"{module[0]}.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *tethered([sys.executable, "-m", *arguments]),
            env={**os.environ, **environ, "ARCBRIDGE_RELAY_READY_FILE": str(ready)},
            stdout=output,
            stderr=output,
        )
    try:
        async with asyncio.timeout(30):
            while not ready.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
        yield Server(process.pid, json.loads(ready.read_text())["port"])
    finally:
        process.kill()
        await process.wait()
