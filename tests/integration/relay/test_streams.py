from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import grpc
import psycopg
from redis.asyncio import Redis

from relay.server import RelayServer
from shared.services import heartbeats
from tests.integration.relay.agents import Credential, dialled
from tests.integration.relay.conftest import Stores
from tests.integration.relay.fleet import cluster_row, session_row

WAIT = 8.0


async def test_an_agent_is_welcomed_with_its_epoch(
    relay: RelayServer, agent: Credential, owner_postgres_url: str
) -> None:
    async with dialled(agent, relay.port, agent_version="1.0") as link:
        assert link.welcome is not None
        assert link.welcome.session_epoch == 1
        assert link.welcome.heartbeat_seconds == 30
        assert link.welcome.relay_id == "relay-1"
        assert session_row(owner_postgres_url, agent.key)["relay_id"] == "relay-1"
        assert cluster_row(owner_postgres_url, agent.key)["state"] == "Connected"


async def test_a_heartbeat_reaches_postgres_with_the_relays_time(
    relay: RelayServer, agent: Credential, stores: Stores, owner_postgres_url: str
) -> None:
    began = datetime.now(UTC)
    async with dialled(agent, relay.port) as link:
        await link.beat(extensions=3, extensions_ready=2, extensions_failed=1)
        async with asyncio.timeout(WAIT):
            while not await heartbeats.flush(stores):
                await asyncio.sleep(0.05)
    row = session_row(owner_postgres_url, agent.key)
    assert (row["heartbeat_sequence"], row["extensions"], row["extensions_failed"]) == (1, 3, 1)
    assert row["last_heartbeat"] >= began


async def test_an_outbox_row_wakes_the_agent(
    relay: RelayServer, agent: Credential, owner_postgres_url: str
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with dialled(agent, relay.port, desired_digest="sha256:x") as link:
        await subscribed(relay)
        with psycopg.connect(owner_postgres_url) as connection:
            connection.execute(
                "insert into outbox (tenant_id, cluster_id, topic, traceparent)"
                " values (%s, %s, 'desired', %s)",
                [agent.key.tenant, agent.key.cluster_id, trace],
            )
        message = await link.heard("desired_changed")
    assert message.traceparent.split("-")[1] == trace.split("-")[1]


async def test_the_newest_stream_owns_the_cluster(relay: RelayServer, agent: Credential) -> None:
    async with (
        dialled(agent, relay.port, instance="a") as first,
        dialled(agent, relay.port, instance="b") as second,
    ):
        said, code = await first.end()
        assert said[-1].notice.reason == "DuplicateIdentity"
        assert code is grpc.StatusCode.ABORTED
        await second.beat()
        assert len(relay.registry) == 1


async def test_a_stream_that_ends_lets_go_of_its_session(
    relay: RelayServer, agent: Credential, owner_postgres_url: str
) -> None:
    async with dialled(agent, relay.port):
        pass
    async with asyncio.timeout(WAIT):
        while session_row(owner_postgres_url, agent.key)["relay_id"]:
            await asyncio.sleep(0.05)


async def subscribed(relay: RelayServer) -> None:
    async with asyncio.timeout(WAIT):
        while b"arcbridge_relay_subscribed 1.0" not in relay.metrics.registry.render()[0]:
            await asyncio.sleep(0.02)


async def test_junk_on_the_channel_is_harmless(
    relay: RelayServer, agent: Credential, redis_url: str
) -> None:
    async with dialled(agent, relay.port) as link:
        await subscribed(relay)
        async with Redis.from_url(redis_url) as redis:
            for junk in (
                b"", b"{}", b"[1]", b"\xff\xfe", b'{"t":"desired","c":5}',
                f'{{"t":"session","c":["{agent.key}"],"e":[99]}}'.encode(),
                f'{{"t":"revoked","c":["{agent.key}"]}}'.encode(),
            ):  # fmt: skip
                await redis.publish("ab:wake", junk)
            await redis.publish("ab:wake", f'{{"t":"desired","c":["{agent.key}"]}}')
        await link.heard("desired_changed")
        await link.beat()
        assert relay.registry.get(agent.key) is not None
