"""What every test may ask for: real servers, one pair per test process, and a fresh database each.

Each process of pytest-xdist runs servers of its own (half a second to start), so that no test can
see another's rows or channels. They are tied to that process by the kernel and end with it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from redis import Redis

from dev.backends import Backends, PostgresServer, RedisServer, backends, postgres, redis
from shared.store.database import Database
from shared.store.migrations import allow_login, apply

T = TypeVar("T")

LONG = ("tests/contract", "tests/unit/planner", "tests/attacks", "tests/e2e")
"""What takes longest begins first, so that no process is left alone with it at the end."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from all that stays: modules, tests, rewritten assertions.

    It would go through half a million objects again and again, in each of the test processes.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order by file, the long ones first; within a file as it is written."""

    def place(item: pytest.Item) -> int:
        return next(
            (place for place, folder in enumerate(LONG) if item.nodeid.startswith(f"{folder}/")),
            len(LONG),
        )

    items.sort(key=place)


@contextmanager
def held_open(resource: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Hold an async context manager open from synchronous code, on a loop of its own."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        value = runner.run(resource.__aenter__())
        try:
            yield value
        finally:
            runner.run(resource.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    """This test process's PostgreSQL and Redis, or those that the environment names."""
    directory = tmp_path_factory.mktemp("backends")
    with held_open(backends(directory, durable=False, environ=os.environ)) as running:
        yield running


def with_database(url: str, database: str) -> str:
    """The same server's URL for another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@contextmanager
def new_database(server_url: str, template: str) -> Iterator[str]:
    """A database copied from `template` for the length of the block; gives its URL."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True, connect_timeout=10) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        try:
            yield with_database(server_url, name)
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


@pytest.fixture
def empty_postgres_url(servers: Backends) -> Iterator[str]:
    """A superuser's URL of an empty database, dropped after the test."""
    with new_database(servers.postgres_url, "template0") as url:
        yield url


def with_login(url: str, login: str, password: str) -> str:
    """The same database's URL for another login."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{login}:{password}@{address}"))


APP_LOGIN = "arcbridge_test"
APP_PASSWORD = "arcbridge-test"
EXPANDED = "ARCBRIDGE_TEST_EXPANDED"
"""Set to 1, every test runs on the schema as the next release's first migration may leave it."""
EXPANSION = Path(__file__).parent / "migration" / "expansion.sql"


@pytest.fixture(scope="session")
def migrated_template(servers: Backends) -> Iterator[str]:
    """The name of a migrated database that tests copy."""
    with new_database(servers.postgres_url, "template0") as url:
        apply(url)
        allow_login(url, APP_LOGIN, APP_PASSWORD)
        if os.environ.get(EXPANDED) == "1":
            with psycopg.connect(url) as connection:
                connection.execute(EXPANSION.read_bytes())
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture
def owner_postgres_url(servers: Backends, migrated_template: str) -> Iterator[str]:
    """A superuser's URL of a migrated database without rows: to look behind the application."""
    with new_database(servers.postgres_url, migrated_template) as url:
        yield url


@pytest.fixture
def postgres_url(owner_postgres_url: str) -> str:
    """The application's URL of that database: a login that owns nothing."""
    return with_login(owner_postgres_url, APP_LOGIN, APP_PASSWORD)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """The store on a migrated database without rows."""
    async with Database.open(postgres_url) as database:
        yield database


@pytest.fixture
def redis_url(servers: Backends) -> Iterator[str]:
    """The URL of an empty Redis database that no test running at the same time sees."""
    with Redis.from_url(servers.redis_url, socket_timeout=10) as client:
        client.flushdb()
        yield servers.redis_url


@pytest.fixture
async def private_postgres(tmp_path: Path) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL of this test's own, to stop, kill or pause."""
    async with postgres(tmp_path / "postgres") as server:
        yield server


@pytest.fixture
async def private_redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of this test's own, to stop, kill or pause."""
    async with redis(tmp_path / "redis") as server:
        yield server
