"""One suite for every token source: memory and real Redis must not differ."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from dev.backends import RedisServer
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.pacing.gcra import Rate
from shared.pacing.memory import MemoryTokens
from shared.pacing.redis import RedisTokens
from shared.pacing.source import Bucket, TokenSource

SLOW = Rate(per_minute=0.01, burst=10)
"""So slow that a test sees no token come in."""


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, socket_timeout=5) as client:
        yield client


@pytest.fixture(params=["memory", "redis"])
async def source(request: pytest.FixtureRequest, redis_client: Redis) -> TokenSource:
    if request.param == "memory":
        return MemoryTokens(time.monotonic)
    return RedisTokens(redis_client)


async def test_unknown_bucket_is_empty(source: TokenSource) -> None:
    grant = await source.take([Bucket("ab:pace:{t}:a", SLOW)], 3)
    assert grant.count == 0
    assert grant.retry_after == pytest.approx(SLOW.interval, rel=1e-3)


async def test_unknown_bucket_of_a_rate_limit_is_full(source: TokenSource) -> None:
    bucket = Bucket("ab:pace:{t}:b", SLOW, starts_full=True)
    assert (await source.take([bucket], 4)).count == 4
    assert (await source.take([bucket], 9)).count == 6
    assert (await source.take([bucket], 1)).count == 0


async def test_filled_bucket_holds_its_burst_once(source: TokenSource) -> None:
    bucket = Bucket("ab:pace:{t}:c", SLOW)
    await source.fill(bucket)
    assert (await source.take([bucket], 99)).count == 10
    await source.fill(bucket)
    assert (await source.take([bucket], 99)).count == 0


async def test_tokens_come_in_at_the_rate(source: TokenSource) -> None:
    bucket = Bucket("ab:pace:{t}:d", Rate(per_minute=6000, burst=5))
    assert (await source.take([bucket], 5)).count == 0
    await asyncio.sleep(0.2)
    assert (await source.take([bucket], 50)).count == 5


async def test_the_scarcest_bucket_decides_for_all(source: TokenSource) -> None:
    wide = Bucket("ab:pace:{t}:wide", SLOW)
    narrow = Bucket("ab:pace:{t}:narrow", Rate(per_minute=0.01, burst=2))
    await source.fill(wide)
    await source.fill(narrow)
    assert (await source.take([wide, narrow], 9)).count == 2
    assert (await source.take([wide, narrow], 9)).count == 0
    assert (await source.take([wide], 9)).count == 8


async def test_lower_rate_makes_no_tokens(source: TokenSource) -> None:
    await source.fill(Bucket("ab:pace:{t}:e", SLOW))
    assert (await source.take([Bucket("ab:pace:{t}:e", SLOW)], 10)).count == 10
    slower = Bucket("ab:pace:{t}:e", Rate(per_minute=0.001, burst=10))
    assert (await source.take([slower], 10)).count == 0


async def test_many_takers_at_once_never_get_more_than_the_burst(source: TokenSource) -> None:
    bucket = Bucket("ab:pace:{t}:f", SLOW)
    await source.fill(bucket)
    grants = await asyncio.gather(*(source.take([bucket], 3) for _ in range(20)))
    assert sum(grant.count for grant in grants) == 10


async def test_flushed_redis_starts_empty(redis_client: Redis) -> None:
    source, bucket = RedisTokens(redis_client), Bucket("ab:pace:{t}:g", SLOW)
    await source.fill(bucket)
    await redis_client.flushall()
    await redis_client.script_flush()
    assert (await source.take([bucket], 5)).count == 0


async def test_dead_redis_gives_nothing_and_says_so(private_redis: RedisServer) -> None:
    async with Redis.from_url(private_redis.url(), socket_timeout=1) as client:
        source = RedisTokens(client)
        await private_redis.stop()
        with pytest.raises(ArcBridgeError) as caught:
            await source.take([Bucket("ab:pace:{t}:h", SLOW)], 1)
        assert caught.value.code is ErrorCode.UNAVAILABLE
