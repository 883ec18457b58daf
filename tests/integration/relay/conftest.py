from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from relay.resources import Resources
from relay.server import RelayServer
from relay.settings import RelaySettings
from shared.identity import devca
from shared.identity.file_issuer import FileIssuer
from shared.services.cluster_key import ClusterKey
from shared.store.database import Database
from tests.integration.relay.agents import Credential, add_cluster, issue, store


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


@pytest.fixture(scope="session")
def ca_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A development CA."""
    directory = tmp_path_factory.mktemp("ca")
    devca.make(directory)
    return directory


@pytest.fixture
def issuer(ca_directory: Path) -> FileIssuer:
    return FileIssuer(ca_directory)


@pytest.fixture
def settings(postgres_url: str, redis_url: str, ca_directory: Path) -> RelaySettings:
    """Quick, where a test would wait, and otherwise as they are by default."""
    return RelaySettings(
        postgres_url=postgres_url,
        redis_url=redis_url,
        ca_dir=ca_directory,
        relay_port=0,
        relay_http_port=0,
        relay_id="relay-1",
        drain_seconds=0.5,
        flush_seconds=0.1,
        outbox_seconds=0.2,
        wake_spread_seconds=0.1,
        send_seconds=1.0,
    )


def replaced(settings: RelaySettings, **changes: object) -> RelaySettings:
    """The settings with some of them changed."""
    return replace(settings, **changes)


@asynccontextmanager
async def relay_with(settings: RelaySettings) -> AsyncIterator[RelayServer]:
    """A relay in this process."""
    async with (
        Resources.open(settings) as resources,
        RelayServer(settings, resources).running() as server,
    ):
        yield server


@pytest.fixture
async def relay(settings: RelaySettings) -> AsyncIterator[RelayServer]:
    async with relay_with(settings) as server:
        yield server


@pytest.fixture
def enrolled(owner_postgres_url: str, issuer: FileIssuer) -> Callable[[], Awaitable[Credential]]:
    """Registers one cluster at each call."""

    async def enrol() -> Credential:
        key = ClusterKey("demo", uuid4())
        add_cluster(owner_postgres_url, key.tenant, key.cluster_id)
        credential = await issue(issuer, key)
        store(owner_postgres_url, credential)
        return credential

    return enrol


@pytest.fixture
async def agent(enrolled: Callable[[], Awaitable[Credential]]) -> Credential:
    """One registered cluster."""
    return await enrolled()
