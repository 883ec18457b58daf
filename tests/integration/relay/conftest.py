from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from shared.store.database import Database


@dataclass(frozen=True)
class Stores:
    """The hot path's owner, as small as it can be."""

    db: Database
    redis: Redis
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def at(self, moment: datetime) -> Stores:
        return replace(self, clock=lambda: moment)


@pytest.fixture
async def stores(database: Database, redis_url: str) -> AsyncIterator[Stores]:
    async with Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2) as redis:
        yield Stores(database, redis)
