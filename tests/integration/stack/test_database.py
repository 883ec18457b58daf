"""The stack's database: made once, migrated, and used with a login that owns nothing."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from dev.backends import PostgresServer
from dev.stack.database import LOGIN, prepare


@pytest.fixture
def password_path(tmp_path: Path) -> Path:
    return tmp_path / "login.password"


def test_an_existing_database_is_migrated_and_gets_its_tenants(
    empty_postgres_url: str, password_path: Path
) -> None:
    for _ in range(2):  # safe to repeat
        prepare(
            empty_postgres_url, create=False, password_path=password_path, tenants=["demo", "other"]
        )
    with psycopg.connect(empty_postgres_url) as owner:
        rows = owner.execute("select tenant_id from tenants order by 1").fetchall()
    assert rows == [("demo",), ("other",)]
    assert password_path.stat().st_mode & 0o777 == 0o600


def test_the_application_connects_as_a_login_that_can_read_nothing_by_itself(
    empty_postgres_url: str, password_path: Path
) -> None:
    url = prepare(empty_postgres_url, create=False, password_path=password_path, tenants=["demo"])
    assert urlsplit(url).username == LOGIN
    with (
        psycopg.connect(url) as application,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        application.execute("select * from clusters")


async def test_an_own_server_gets_a_database_of_its_own(
    private_postgres: PostgresServer, password_path: Path
) -> None:
    url = prepare(
        private_postgres.url(), create=True, password_path=password_path, tenants=["demo"]
    )
    assert urlsplit(url).path == "/arcbridge"
    async with await psycopg.AsyncConnection.connect(url) as application:
        cursor = await application.execute("select current_database(), current_user")
        assert await cursor.fetchone() == ("arcbridge", LOGIN)
