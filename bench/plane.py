"""What benchmarks of the services stand on: real servers, a migrated database, a fleet of rows."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
from redis.asyncio import Redis

from dev.backends import backends
from shared.pacing.redis import RedisTokens
from shared.pacing.source import Bucket
from shared.services.ids import new_id
from shared.services.pace import TENANT as TENANT_RATE
from shared.store.database import Database
from shared.store.migrations import allow_login, apply

TENANT = "bench"
LOGIN = "bench_app"
_TICKS = os.sysconf("SC_CLK_TCK")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Plane:
    """A HotPath, and the owner's way into the same database."""

    db: Database
    redis: Redis
    owner_url: str
    postgres_pid: int | None

    @property
    def clock(self):  # type: ignore[no-untyped-def] # a HotPath's clock
        return now

    def cpu_seconds(self) -> float:
        """CPU time of this process and of Postgres so far."""
        own = sum(os.times()[:2])
        return own + (_family_seconds(self.postgres_pid) if self.postgres_pid else 0.0)


def _family_seconds(pid: int) -> float:
    """CPU time of a process, its children that ended, and its children that live."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == pid:
            total += sum(int(ticks) for ticks in fields[11:15])
        elif int(fields[1]) == pid:
            total += sum(int(ticks) for ticks in fields[11:13])
    return total / _TICKS


@asynccontextmanager
async def plane() -> AsyncIterator[Plane]:
    """Servers, schema and tenant for the length of the block; the tenant's bucket is full."""
    password = secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory() as directory:
        async with backends(Path(directory)) as servers:
            await asyncio.to_thread(apply, servers.postgres_url)
            await asyncio.to_thread(allow_login, servers.postgres_url, LOGIN, password)
            parts = urlsplit(servers.postgres_url)
            host = parts.netloc.rpartition("@")[2]
            app = urlunsplit(parts._replace(netloc=f"{LOGIN}:{password}@{host}"))
            async with Database.open(app) as db, Redis.from_url(servers.redis_url) as redis:
                found = Plane(db, redis, servers.postgres_url, servers.processes.get("postgres"))
                with psycopg.connect(found.owner_url, autocommit=True) as connection:
                    connection.execute("insert into tenants (tenant_id) values (%s)", [TENANT])
                await fill_tenant(found)
                yield found


async def fill_tenant(found: Plane) -> None:
    """Let the tenant's bucket be full, as it is for a tenant that was quiet for ten seconds."""
    bucket = Bucket(f"ab:pace:{{{TENANT}}}:tenant", TENANT_RATE)
    await found.redis.delete(bucket.key)
    await RedisTokens(found.redis).fill(bucket)


def connect_clusters(found: Plane, count: int, label: str) -> list[UUID]:
    """Connected clusters that carry `bench=<label>`."""
    ids = [new_id() for _ in range(count)]
    with psycopg.connect(found.owner_url, autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.executemany(
            "insert into clusters (tenant_id, cluster_id, name, labels, state)"
            " values (%s, %s, %s, %s, 'Connected')",
            [
                (TENANT, cluster_id, f"{label}-{n:05}", f'{{"bench": "{label}"}}')
                for n, cluster_id in enumerate(ids)
            ],
        )
        cursor.executemany(
            "insert into sessions (tenant_id, cluster_id, epoch, last_heartbeat)"
            " values (%s, %s, 1, now())",
            [(TENANT, cluster_id) for cluster_id in ids],
        )
        connection.execute("analyze")
    return ids
