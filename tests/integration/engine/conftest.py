from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.pacing.redis import RedisTokens
from shared.pacing.source import Bucket
from shared.services.pace import TENANT as TENANT_RATE
from shared.store.database import Database
from tests.integration.engine.fleet import TENANT, Clock, Fleet, Plane


@pytest.fixture
async def plane(database: Database, redis_url: str) -> AsyncIterator[Plane]:
    async with Redis.from_url(redis_url, socket_timeout=5) as redis:
        await RedisTokens(redis).fill(Bucket(f"ab:pace:{{{TENANT}}}:tenant", TENANT_RATE))
        yield Plane(database, redis, Clock())


@pytest.fixture
def fleet(plane: Plane, owner_postgres_url: str) -> Fleet:
    return Fleet(plane, owner_postgres_url)
