"""What must be true after each fault of the relay's world: killed, paused, drained; Redis lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
import psycopg
import pytest
from redis.asyncio import Redis

from dev.backends import RedisServer
from relay.settings import RelaySettings
from shared.rpc.v1 import relay_pb2 as pb
from shared.services import heartbeats
from shared.services.cluster_key import ClusterKey
from tests.integration.relay.agents import Credential, dialled
from tests.integration.relay.conftest import Stores, relay_with, replaced
from tests.integration.relay.fleet import session_row
from tests.integration.relay.processes import RelayProcess, relay_process
from tests.integration.relay.test_attacks import revoke
from tests.integration.relay.test_streams import subscribed

Enrol = Callable[[], Awaitable[Credential]]
WAIT = 10.0


async def until(true: Callable[[], object], seconds: float = WAIT) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.05)


@pytest.fixture
async def relays(
    settings: RelaySettings, tmp_path: Path
) -> AsyncIterator[tuple[RelayProcess, RelayProcess]]:
    """Two replicas."""
    async with (
        relay_process(settings, tmp_path, "first") as first,
        relay_process(settings, tmp_path, "second") as second,
    ):
        yield first, second


class TestTwoReplicas:
    async def test_the_stream_on_the_other_replica_ends_when_a_newer_one_opens(
        self, relays: tuple[RelayProcess, RelayProcess], agent: Credential
    ) -> None:
        first, second = relays
        async with (
            dialled(agent, first.port, instance="a") as older,
            dialled(agent, second.port, instance="b") as newer,
        ):
            said, code = await older.end()
            assert said[-1].notice.reason == "DuplicateIdentity"
            assert code is grpc.StatusCode.ABORTED
            await newer.beat()
            assert newer.welcome is not None
            assert newer.welcome.session_epoch == 2

    async def test_a_paused_relay_changes_nothing_when_it_wakes(
        self,
        relays: tuple[RelayProcess, RelayProcess],
        agent: Credential,
        stores: Stores,
        owner_postgres_url: str,
    ) -> None:
        first, second = relays
        async with dialled(agent, first.port, instance="a") as older:
            await older.beat(extensions=1)
            first.send(signal.SIGSTOP)
            await older.beat(extensions=99)  # reaches only its socket
            async with dialled(agent, second.port, instance="a") as newer:
                await newer.beat(extensions=2)
                await asyncio.sleep(0.5)
                first.send(signal.SIGCONT)
                _, code = await older.end()
                assert code in (grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE)
                await asyncio.sleep(0.5)
                await newer.beat(extensions=3)
                await asyncio.sleep(0.5)
                await heartbeats.flush(stores)
                row = session_row(owner_postgres_url, agent.key)
        assert (row["epoch"], row["relay_id"], row["extensions"]) == (2, "second", 3)

    async def test_agents_of_a_killed_relay_go_on_elsewhere_and_take_nothing_over(
        self,
        relays: tuple[RelayProcess, RelayProcess],
        agent: Credential,
        owner_postgres_url: str,
    ) -> None:
        first, second = relays
        async with dialled(agent, first.port, instance="a") as link:
            first.send(signal.SIGKILL)
            _, code = await link.end()
            assert code is grpc.StatusCode.UNAVAILABLE
        async with dialled(agent, second.port, instance="a") as link:
            assert link.welcome is not None
            assert link.welcome.session_epoch == 2
        assert session_row(owner_postgres_url, agent.key)["takeovers"] == 0


class TestDraining:
    async def test_sigterm_asks_agents_to_leave_and_ends_in_time_with_status_0(
        self, settings: RelaySettings, tmp_path: Path, enrolled: Enrol, owner_postgres_url: str
    ) -> None:
        patient, hasty = await enrolled(), await enrolled()
        async with relay_process(settings, tmp_path, "r") as relay:
            async with dialled(patient, relay.port) as stays, dialled(hasty, relay.port) as leaves:
                await stays.beat(extensions=7)
                relay.send(signal.SIGTERM)
                drain = (await leaves.heard("drain")).drain
                assert drain.spread_seconds == 1
                leaves.call.cancel()
                _, code = await stays.end()
                assert code is grpc.StatusCode.UNAVAILABLE
            assert await relay.ended() == 0
            assert relay.lines("relay drained")[0]["cut_off"] == 1
        for credential in (patient, hasty):
            assert session_row(owner_postgres_url, credential.key)["relay_id"] == ""

    async def test_a_draining_relay_refuses_and_is_not_ready(
        self, settings: RelaySettings, tmp_path: Path, enrolled: Enrol
    ) -> None:
        one, late = await enrolled(), await enrolled()
        async with (
            relay_process(settings, tmp_path, "r", ARCBRIDGE_DRAIN_SECONDS="3") as relay,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{relay.http_port}") as http,
        ):
            assert (await http.get("/health/live")).status_code == 200
            assert (await http.get("/health/ready")).status_code == 200
            async with dialled(one, relay.port) as link:
                relay.send(signal.SIGTERM)
                await link.heard("drain")
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    async with dialled(late, relay.port):
                        pass
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
                assert (await http.get("/health/ready")).status_code == 503
                assert (await http.get("/health/live")).status_code == 200

    async def test_an_aged_stream_is_asked_to_come_again(
        self, settings: RelaySettings, agent: Credential, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("relay.session.AGED_DRAIN_SECONDS", 0.2)
        async with (
            relay_with(replaced(settings, stream_age_seconds=1.0)) as relay,
            dialled(agent, relay.port) as link,
        ):
            said, code = await link.end()
        assert [message.WhichOneof("body") for message in said][-1] == "drain"
        assert code is grpc.StatusCode.OK


@pytest.fixture
def on_private_redis(settings: RelaySettings, private_redis: RedisServer) -> RelaySettings:
    """A relay on a Redis that the test may kill."""
    return replaced(settings, redis_url=private_redis.url())


class TestRevocation:
    async def test_a_hint_ends_the_stream_at_once(
        self, settings: RelaySettings, agent: Credential, owner_postgres_url: str
    ) -> None:
        async with (
            relay_with(replaced(settings, fencing_seconds=4.0)) as relay,
            dialled(agent, relay.port) as link,
        ):
            await subscribed(relay)
            await asyncio.sleep(0.2)
            began = asyncio.get_running_loop().time()
            revoke(owner_postgres_url, agent)
            await relay._resources.redis.publish(
                "ab:wake", f'{{"t":"revoked","c":["{agent.key}"]}}'
            )
            said, code = await link.end()
            assert asyncio.get_running_loop().time() - began < 1.0
        assert said[-1].notice.reason == "CertificateRevoked"
        assert code is grpc.StatusCode.PERMISSION_DENIED

    async def test_it_ends_within_5_seconds_without_redis(
        self,
        on_private_redis: RelaySettings,
        private_redis: RedisServer,
        agent: Credential,
        owner_postgres_url: str,
    ) -> None:
        async with relay_with(on_private_redis) as relay, dialled(agent, relay.port) as link:
            await private_redis.kill()
            began = asyncio.get_running_loop().time()
            revoke(owner_postgres_url, agent)
            said, _ = await link.end()
            assert asyncio.get_running_loop().time() - began < 5.0
        assert said[-1].notice.reason == "CertificateRevoked"

    async def test_a_newer_session_elsewhere_is_found_without_redis(
        self,
        on_private_redis: RelaySettings,
        private_redis: RedisServer,
        agent: Credential,
        tmp_path: Path,
    ) -> None:
        async with (
            relay_with(on_private_redis) as first,
            relay_process(on_private_redis, tmp_path, "second") as second,
            dialled(agent, first.port, instance="a") as older,
        ):
            await private_redis.kill()
            async with dialled(agent, second.port, instance="a"):
                _, code = await older.end()
        assert code is grpc.StatusCode.ABORTED


class TestRedisLost:
    async def test_heartbeats_go_to_postgres_and_back_to_redis_when_it_returns(
        self,
        on_private_redis: RelaySettings,
        private_redis: RedisServer,
        agent: Credential,
        owner_postgres_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("relay.heartbeats.REDIS_REST_SECONDS", 0.2)
        async with relay_with(on_private_redis) as relay, dialled(agent, relay.port) as link:
            await private_redis.kill()
            await link.beat(extensions=4)
            await until(lambda: session_row(owner_postgres_url, agent.key)["extensions"] == 4)
            await private_redis.start()
            await asyncio.sleep(0.3)
            await link.beat(extensions=5)
            async with Redis.from_url(private_redis.url()) as redis:
                async with asyncio.timeout(WAIT):
                    while not await redis.hlen(heartbeats.HASH):
                        await asyncio.sleep(0.05)

    async def test_a_redis_that_hangs_holds_up_no_heartbeat(
        self,
        on_private_redis: RelaySettings,
        private_redis: RedisServer,
        agent: Credential,
        owner_postgres_url: str,
    ) -> None:
        async with relay_with(on_private_redis) as relay, dialled(agent, relay.port) as link:
            private_redis.pause()
            try:
                await link.beat(extensions=6)
                await until(lambda: session_row(owner_postgres_url, agent.key)["extensions"] == 6)
            finally:
                private_redis.resume()

    async def test_every_stream_is_told_to_look_when_redis_is_back(
        self, on_private_redis: RelaySettings, private_redis: RedisServer, enrolled: Enrol
    ) -> None:
        one, other = await enrolled(), await enrolled()
        async with (
            relay_with(on_private_redis) as relay,
            dialled(one, relay.port, desired_digest="sha256:held") as first,
            dialled(other, relay.port, desired_digest="sha256:held") as second,
        ):
            await subscribed(relay)
            assert await first.hears_nothing("desired_changed", 0.3)
            await private_redis.kill()
            await until(lambda: not relay._fencing.hints_arrive)
            await private_redis.start()
            for link in (first, second):
                message = await link.heard("desired_changed")
                assert isinstance(message, pb.RelayMessage)


async def test_a_connection_to_redis_that_was_cut_for_a_moment_counts_as_lost(
    settings: RelaySettings, agent: Credential, stores: Stores
) -> None:
    async with (
        relay_with(settings) as relay,
        dialled(agent, relay.port, desired_digest="sha256:held") as link,
    ):
        await subscribed(relay)
        assert await link.hears_nothing("desired_changed", 0.3)
        assert await stores.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
        await link.heard("desired_changed")


async def test_a_flush_that_died_is_taken_up_by_the_next(
    stores: Stores, settings: RelaySettings, agent: Credential, owner_postgres_url: str
) -> None:
    async with relay_with(settings) as relay, dialled(agent, relay.port) as link:
        await link.beat(extensions=8)
        async with asyncio.timeout(WAIT):
            while not await stores.redis.hlen(heartbeats.HASH):
                await asyncio.sleep(0.05)
    await stores.redis.sadd(heartbeats.FLUSHING, "dead")
    await stores.redis.rename(heartbeats.HASH, f"{heartbeats.FLUSHING}:dead")
    assert await heartbeats.flush(stores) == 1
    assert session_row(owner_postgres_url, agent.key)["extensions"] == 8
    assert not await stores.redis.keys("ab:hb*")


async def test_two_flushes_at_once_store_each_heartbeat_once(
    stores: Stores, owner_postgres_url: str, enrolled: Enrol, settings: RelaySettings
) -> None:
    fleet = [await enrolled() for _ in range(5)]
    async with relay_with(settings) as relay:
        for credential in fleet:
            async with dialled(credential, relay.port) as link:
                await link.beat(extensions=1)
        async with asyncio.timeout(WAIT):
            while await stores.redis.hlen(heartbeats.HASH) < len(fleet):
                await asyncio.sleep(0.05)
    stored = await asyncio.gather(*(heartbeats.flush(stores) for _ in range(4)))
    assert sum(stored) == len(fleet)


class Killed(BaseException):
    """What ends a flush at once, as a signal would."""


class InterruptedRedis:
    """Before each of a flush's commands somebody else acts; the flush dies before one of them."""

    def __init__(self, redis: Redis, meanwhile: Callable[[], Awaitable[None]], lives: int) -> None:
        self._redis = redis
        self._meanwhile = meanwhile
        self._lives = lives

    def __getattr__(self, name: str) -> Any:
        return self._interrupted(getattr(self._redis, name))

    def pipeline(self, **options: Any) -> Any:
        pipeline = self._redis.pipeline(**options)
        pipeline.execute = self._interrupted(pipeline.execute)
        return pipeline

    def _interrupted(self, command: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*arguments: Any, **options: Any) -> Any:
            await self._meanwhile()
            if not self._lives:
                raise Killed
            self._lives -= 1
            return await command(*arguments, **options)

        return run


@pytest.mark.parametrize("lives", range(7))
async def test_a_flush_that_dies_while_another_runs_leaves_no_heartbeat_behind(
    stores: Stores, lives: int
) -> None:
    async def another_flush_and_a_new_heartbeat() -> None:
        await heartbeats.flush(stores)
        key = ClusterKey("demo", uuid4())
        beat = heartbeats.Heartbeat(key=key, epoch=1, sequence=1, received_ms=1, skew_ms=None)
        await heartbeats.post(stores.redis, [beat])

    racing = InterruptedRedis(stores.redis, another_flush_and_a_new_heartbeat, lives)
    with contextlib.suppress(Killed):
        await heartbeats.flush(replace(stores, redis=racing))
    await heartbeats.flush(stores)
    assert not await stores.redis.keys("ab:hb*"), "what lies there is found by no flush"


@pytest.mark.parametrize(
    "junk",
    [
        {"x": "y"}, {"demo/not-a-uuid": "{}"}, {"\xff": "\xff"},
        {"demo/00000000-0000-4000-8000-000000000000": "[" * 100_000},
        {"demo/00000000-0000-4000-8000-000000000000": '{"e":1e400}'},
        {"demo/00000000-0000-4000-8000-000000000000":
         '{"e":1,"s":1,"t":99999999999999999999,"k":0,"n":[0,0,0,0],"p":0,"d":"","r":""}'},
    ],
)  # fmt: skip
async def test_forged_heartbeats_are_harmless(
    stores: Stores, junk: dict[str, str], owner_postgres_url: str, agent: Credential
) -> None:
    await stores.redis.hset(heartbeats.HASH, mapping=junk)
    forged = heartbeats.Heartbeat(
        key=agent.key, epoch=77, sequence=1, received_ms=10**12, skew_ms=None
    )
    await heartbeats.post(stores.redis, [forged])
    assert await heartbeats.flush(stores) == 0
    with psycopg.connect(owner_postgres_url) as connection:
        found = connection.execute("select count(*) from sessions").fetchone()
    assert found == (0,)


async def test_a_heartbeat_from_the_future_counts_as_now(
    stores: Stores, owner_postgres_url: str, agent: Credential, settings: RelaySettings
) -> None:
    async with relay_with(settings) as relay, dialled(agent, relay.port):
        tomorrow = round(datetime.now(UTC).timestamp() * 1000) + 86_400_000
        beat = heartbeats.Heartbeat(
            key=agent.key, epoch=1, sequence=1, received_ms=tomorrow, skew_ms=None
        )
        await heartbeats.store(stores.db, [beat], datetime.now(UTC))
    row = session_row(owner_postgres_url, agent.key)
    assert row["last_heartbeat"] <= datetime.now(UTC)
