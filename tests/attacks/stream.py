"""Attacks on the agents' stream: TLS ends in the relay, which believes nothing but certificates."""

from __future__ import annotations

import asyncio
import select
import socket
import tempfile
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography.x509.oid import ExtendedKeyUsageOID

from shared.contract.limits import GRPC_MESSAGE_BYTES
from shared.identity import devca
from shared.identity.file_issuer import FileIssuer
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.v1 import relay_pb2_grpc as rpc
from shared.services import wakeups
from shared.services.wakeups import Topic, Wake
from tests.attacks.attack import held, row
from tests.attacks.target import CLUSTERS, RELAY_CONNECTIONS, Target, eventually, slowness
from tests.integration.relay.agents import (
    Credential,
    channel,
    dialled,
    issue,
    odd_certificate,
    store,
)

CONNECTIONS = 10_000
AT_A_TIME = 200
CLOSED_SECONDS = 0.3
"""After this long without a closed connection the rest of a handful counts as kept."""
FLOOD_SECONDS = 2.0
BREATH = 50
FORGED_WAKES = 20_000
GROWTH_BYTES = 64 * 1024 * 1024


async def ending(credential: Credential, target: Target) -> str:
    """How the relay refuses this credential; `let in` when it does not."""
    try:
        async with dialled(credential, target.relay_port):
            return "let in"
    except grpc.aio.AioRpcError as error:
        odd = error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
        return f"{error.code().name} {error.details() if odd else ''}".strip()


async def others_go_on(target: Target) -> bool:
    """Whether a new agent gets a stream, and the real ones keep theirs."""
    bystander = target.credential(await target.enrolled())
    async with dialled(bystander, target.relay_port) as link:
        await link.beat()
    answer = await target.ask("GET", "clusters", params={"state": "Connected"})
    return {*CLUSTERS} <= {each["name"] for each in answer.json()["items"]}


@row(
    "stream",
    "certificate without clientAuth; for servers; of a foreign name; expired",
    expected="refused",
)
async def odd_certificates(target: Target) -> str:
    key = target.credential(await target.enrolled()).key
    ago = datetime.now(UTC) - timedelta(days=1)
    ca = target.issuer
    odd = {
        "no usage": odd_certificate(ca, key, usage=None),
        "server's usage": odd_certificate(ca, key, usage=ExtendedKeyUsageOID.SERVER_AUTH),
        "other trust domain": odd_certificate(ca, key, uri=f"spiffe://evil/tenant/{key.tenant}"),
        "no cluster in it": odd_certificate(ca, key, uri="spiffe://arcbridge.local/tenant/demo"),
        "expired": odd_certificate(ca, key, not_before=ago - timedelta(days=2), not_after=ago),
    }
    ends = {}
    for why, credential in odd.items():
        # Known to the control plane as good, so that nothing but the flaw can refuse it.
        await asyncio.to_thread(store, target.owner_url, credential)
        ends[why] = await ending(credential, target)
    seen = ", ".join(f"{why}: {end}" for why, end in ends.items())
    held("let in" not in ends.values(), seen)
    return seen


@row("stream", "certificate from another CA; none at all; never issued", expected="refused")
async def foreign_certificates(target: Target) -> str:
    known = target.credential(await target.enrolled())
    with tempfile.TemporaryDirectory() as folder:
        await asyncio.to_thread(devca.make, Path(folder))
        foreign = await issue(FileIssuer(Path(folder)), known.key)
    await asyncio.to_thread(store, target.owner_url, foreign)
    trusting = Credential(
        known.key, foreign.serial, foreign.private_key, foreign.chain, known.roots, known.not_after
    )
    ends = {
        "another CA": await ending(trusting, target),
        "never issued": await ending(await issue(target.issuer, known.key), target),
        "none": await _without_certificate(known.roots, target),
    }
    seen = ", ".join(f"{why}: {end}" for why, end in ends.items())
    held("let in" not in ends.values(), seen)
    return seen


async def _without_certificate(roots: bytes, target: Target) -> str:
    credentials = grpc.ssl_channel_credentials(roots)
    address = f"localhost:{target.relay_port}"
    async with grpc.aio.secure_channel(address, credentials) as connection:
        call = rpc.AgentRelayStub(connection).Connect()
        try:
            async with asyncio.timeout(10):
                await call.read()
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
    return "let in"


@row(
    "stream", "certificate revoked under an open stream", expected="closed within 5 s, then refused"
)
async def revoked_certificate(target: Target) -> str:
    cluster = await target.enrolled("attack-revoked")
    credential = target.credential(cluster)
    async with dialled(credential, target.relay_port) as link:
        started = asyncio.get_running_loop().time()
        answer = await target.ask("POST", "clusters/attack-revoked/revoke")
        held(answer.status_code == 200, answer.text)
        promised = 5.0 * slowness()
        said, code = await link.end()
        seconds = asyncio.get_running_loop().time() - started
    reasons = [message.notice.reason for message in said if message.WhichOneof("body") == "notice"]
    again = await ending(credential, target)
    seen = f"closed after {seconds:.1f} s ({', '.join(reasons)}, {code.name}); then {again}"
    held(seconds < promised and "CertificateRevoked" in reasons, seen)
    held(again == "PERMISSION_DENIED", seen)
    return seen


@row(
    "stream",
    "stolen key used beside the real agent",
    expected="one of them at a time; DuplicateIdentity raised",
)
async def stolen_key(target: Target) -> str:
    cluster = await target.enrolled("attack-stolen")
    credential = target.credential(cluster)
    port = target.relay_port
    async with (
        dialled(credential, port, instance="real") as real,
        dialled(credential, port, instance="thief"),
    ):
        said, _ = await real.end()
        async with dialled(credential, port, instance="real"):

            async def raised() -> list[dict[str, object]]:
                return await target.sql(
                    "select action from events where subject = %s and reason = %s",
                    "cluster/attack-stolen",
                    "DuplicateIdentity",
                )

            found = await eventually(raised)
    told = said[-1].notice.reason
    seen = f"the real one was told {told}; the trail has {found[0]['action']}"
    held(told == "DuplicateIdentity", seen)
    return seen


@row("stream", "oversized message", expected="that stream ends; others go on")
async def oversized_message(target: Target) -> str:
    credential = target.credential(await target.enrolled())
    async with dialled(credential, target.relay_port) as link:
        giant = pb.InventoryObject(name="x" * (GRPC_MESSAGE_BYTES + 1))
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
            await link.say(pb.AgentMessage(inventory_full=pb.InventoryFull(objects=[giant])))
        _, code = await link.end()
    others = await others_go_on(target)
    seen = f"{code.name}; others go on: {others}"
    held(code is grpc.StatusCode.RESOURCE_EXHAUSTED and others, seen)
    return seen


@row(
    "stream",
    "endless stream of messages",
    expected="held back by rate; others go on",
    alone=True,
)
async def endless_stream(target: Target) -> str:
    credential = target.credential(await target.enrolled())
    before = target.memory_bytes("relay")
    async with dialled(credential, target.relay_port) as link:
        written = 0

        async def flooding() -> None:
            nonlocal written
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
                while True:
                    await link.beat()
                    written += 1
                    if written % BREATH == 0:  # the others that are played share our loop
                        await asyncio.sleep(0.001)

        flood = asyncio.create_task(flooding())
        await asyncio.sleep(FLOOD_SECONDS)
        others = await others_go_on(target)
        flood.cancel()
        await asyncio.wait([flood])
    growth = target.memory_bytes("relay") - before
    seen = f"{written} written; relay grew {growth // 2**20} MiB; others go on: {others}"
    held(others and growth < GROWTH_BYTES, seen)
    return seen


@row(
    "stream",
    "reader that never reads",
    expected="what waits for it is bounded; others go on",
    alone=True,
)
async def slow_reader(target: Target) -> str:
    credential = target.credential(await target.enrolled())
    before = target.memory_bytes("relay")
    async with channel(credential, target.relay_port) as connection:
        call = rpc.AgentRelayStub(connection).Connect()
        await call.write(pb.AgentMessage(hello=pb.Hello(instance_id="slow")))
        await call.read()
        wake = Wake(Topic.DESIRED, {credential.key: 0})
        for _ in range(FORGED_WAKES // 1000):
            pipeline = target.redis.pipeline(transaction=False)
            for _ in range(1000):
                pipeline.publish(wakeups.CHANNEL, wakeups.encode(wake))
            await pipeline.execute()
        others = await others_go_on(target)
        growth = target.memory_bytes("relay") - before
        call.cancel()
    seen = f"{FORGED_WAKES} wake-ups; relay grew {growth // 2**20} MiB; others go on: {others}"
    held(others and growth < GROWTH_BYTES, seen)
    return seen


@row(
    "stream",
    f"{CONNECTIONS:,} connections that say nothing",
    expected=f"all but {RELAY_CONNECTIONS:,} closed at once; agents get in after",
    alone=True,
)
async def many_connections(target: Target) -> str:
    with ExitStack() as opened:
        kept = closed = 0
        while kept + closed < CONNECTIONS:
            patience = CLOSED_SECONDS if kept < RELAY_CONNECTIONS else 10 * CLOSED_SECONDS
            more = await asyncio.to_thread(silent, opened, target.relay_port, patience)
            kept, closed = kept + more, closed + AT_A_TIME - more
    others = await eventually(lambda: others_go_on(target))
    seen = f"{kept:,} kept, {closed:,} closed; others go on: {others}"
    held(others and target.stack.children["relay"].restarts == 0, seen)
    held(closed and kept <= RELAY_CONNECTIONS + AT_A_TIME, seen)
    return seen


def silent(opened: ExitStack, port: int, patience: float) -> int:
    """Connect AT_A_TIME times without a handshake; how many of them the relay keeps open.

    It closes what it refuses, and waits for the handshake of what it keeps: for `patience` seconds
    after the last one that was closed, the rest may still be.
    """
    waiting = select.poll()
    connections = {}
    for _ in range(AT_A_TIME):
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connections[connection.fileno()] = connection
        waiting.register(connection, select.POLLIN)
    ends = time.monotonic() + patience
    while connections and (left := ends - time.monotonic()) > 0:
        for number, _ in waiting.poll(left * 1000):
            waiting.unregister(number)
            connections.pop(number).close()
            ends = time.monotonic() + patience
    for connection in connections.values():
        opened.callback(connection.close)
    return len(connections)
