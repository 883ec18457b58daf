"""Makes the control plane's database ready: created, migrated, with its login and its tenants."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from shared.store import migrations

DATABASE = "arcbridge"
LOGIN = "arcbridge_login"
CONNECT_SECONDS = 10


def prepare(server_url: str, *, create: bool, password_path: Path, tenants: Iterable[str]) -> str:
    """Bring the database to this release's schema; gives the URL that the application uses.

    `server_url` is the owner's. With `create` its server gets a database of its own, otherwise the
    one in the URL is used. Blocks; call it from a thread. Safe to repeat.
    """
    owner_url = with_database(server_url, DATABASE) if create else server_url
    if create:
        create_database(server_url)
    migrations.apply(owner_url)
    password = kept_password(password_path)
    migrations.allow_login(owner_url, LOGIN, password)
    with psycopg.connect(owner_url, autocommit=True, connect_timeout=CONNECT_SECONDS) as owner:
        for tenant in tenants:
            owner.execute(
                "insert into tenants (tenant_id) values (%s) on conflict do nothing", [tenant]
            )
    return with_login(owner_url, LOGIN, password)


def create_database(server_url: str) -> None:
    """Create the database unless it is there."""
    with psycopg.connect(server_url, autocommit=True, connect_timeout=CONNECT_SECONDS) as server:
        found = server.execute("select 1 from pg_database where datname = %s", [DATABASE])
        if found.fetchone() is None:
            server.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))


def kept_password(path: Path) -> str:
    """The login's password, made on first use."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text()


def with_database(url: str, database: str) -> str:
    """The same server's URL for another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def with_login(url: str, login: str, password: str) -> str:
    """The same database's URL for another login."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{login}:{password}@{address}"))
