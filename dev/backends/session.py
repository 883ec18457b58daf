"""Both backends together: the ones the environment names, else our own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.backends.postgres import PostgresServer
from dev.backends.process import ServerProcess
from dev.backends.redis import RedisServer

POSTGRES_URL = "ARCBRIDGE_POSTGRES_URL"
REDIS_URL = "ARCBRIDGE_REDIS_URL"


@dataclass(frozen=True)
class Backends:
    """Where PostgreSQL and Redis answer. Both URLs hold a password."""

    postgres_url: str
    redis_url: str
    processes: Mapping[str, int]
    """Process ids by name (`postgres`, `redis`); empty for servers that we did not start."""


@asynccontextmanager
async def backends(
    directory: Path,
    *,
    durable: bool = True,
    keep: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[Backends]:
    """PostgreSQL and Redis for the length of the block, with data in `directory`.

    With `keep` a server that ends is started again where it was.
    """
    async with AsyncExitStack() as stack:
        own: dict[str, ServerProcess] = {}
        postgres_url = environ.get(POSTGRES_URL)
        if not postgres_url:
            server = PostgresServer(directory / "postgres", durable=durable)
            stack.push_async_callback(server.stop)
            await server.start()
            own["postgres"] = server
            postgres_url = server.url()
        redis_url = environ.get(REDIS_URL)
        if not redis_url:
            cache = RedisServer(directory / "redis")
            stack.push_async_callback(cache.stop)
            await cache.start()
            own["redis"] = cache
            redis_url = cache.url()
        if keep:
            for each in own.values():
                each.keep()
        pids = {name: process.pid for name, process in own.items()}
        yield Backends(postgres_url=postgres_url, redis_url=redis_url, processes=pids)
