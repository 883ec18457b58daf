"""Migrations: numbered SQL files, applied in order, each in a transaction of its own.

`NNNN_name.pre.sql` works with the code that runs before the deployment, `NNNN_name.post.sql`
follows it. What was applied is recorded with a checksum; a file that changed afterwards is refused,
because nobody could say any more what a database looks like. Locks are waited for 4 s and a
statement runs 5 s at most: a migration must never stop the service, it fails and is tried again.

Runs as the schema's owner, which is not the application's login. `allow_login` lets a login take
the two roles that the application works in.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import LiteralString, cast

import psycopg

from shared.store.queries import load

CONNECT_SECONDS = 10
LOCK_MILLISECONDS = "4000"
STATEMENT_MILLISECONDS = "5000"
WAIT_FOR_ANOTHER_RUN_MILLISECONDS = "60000"

_FILE = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.(?P<phase>pre|post)\.sql")
_Q = load("migrations")


class Phase(StrEnum):
    """Before or after the deployment of the code that a migration belongs to."""

    PRE = "pre"
    POST = "post"
    ALL = "all"


class MigrationError(Exception):
    """The database cannot be migrated; the text says why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    phase: Phase
    sql: LiteralString

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.number:04}_{self.name}.{self.phase}"


def available() -> list[Migration]:
    """Every migration of this release, in the order in which they are applied."""
    found = []
    for entry in files("shared.store.migrations").iterdir():
        match = _FILE.fullmatch(entry.name)
        if match:
            # The program's own text, read from its package.
            text = entry.read_text(encoding="utf-8")
            sql = cast(LiteralString, text)  # type: ignore[redundant-cast] # mypy takes it for str
            found.append(Migration(int(match["number"]), match["name"], Phase(match["phase"]), sql))
    return sorted(found, key=lambda m: (m.number, m.phase is Phase.POST))


def apply(dsn: str, phase: Phase = Phase.ALL) -> list[Migration]:
    """Apply what is missing, as the schema's owner; returns what was applied.

    Two runs at once are safe: the second waits for the first. Blocks; call it from a thread.
    Raises MigrationError.
    """
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            _prepare(connection)
            missing = _missing(connection, available(), phase)
            for migration in missing:
                _apply_one(connection, migration)
            return missing
    except psycopg.Error as error:
        raise MigrationError(f"the database could not be migrated: {error}") from error


def allow_login(dsn: str, login: str, password: str | None = None) -> None:
    """Let `login` take the application's roles; with a password the login is made first.

    The server is sent a SCRAM verifier, so the password itself can be in no log of its.
    """
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            verifier = ""
            if password is not None:
                verifier = connection.pgconn.encrypt_password(
                    password.encode(), login.encode(), b"scram-sha-256"
                ).decode()
            with connection.transaction():
                connection.execute(_Q.roles.sql, {})
                connection.execute(_Q.name_login.sql, {"login": login, "verifier": verifier})
                connection.execute(_Q.allow_login.sql, {})
    except psycopg.Error as error:
        raise MigrationError(f"{login} could not be given the roles: {error}") from error


def add_tenant(dsn: str, tenant: str) -> None:
    """Make a tenant, as the schema's owner; nothing happens when it is there.

    The first one has to come from here: the platform's operators, who make the others over the API,
    belong to a tenant themselves.
    """
    try:
        with (
            psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection,
            connection.transaction(),
        ):
            connection.execute(_Q.become_platform.sql, {})
            connection.execute(_Q.add_tenant.sql, {"tenant": tenant})
    except psycopg.Error as error:
        raise MigrationError(f"the tenant {tenant} could not be made: {error}") from error


def _prepare(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Wait for any other run, make the roles and the record. The lock ends with the connection."""
    connection.execute(_Q.session_limits.sql, {
        "lock": WAIT_FOR_ANOTHER_RUN_MILLISECONDS,
        "statement": WAIT_FOR_ANOTHER_RUN_MILLISECONDS,
    })  # fmt: skip
    connection.execute(_Q.one_run_at_a_time.sql)
    connection.execute(_Q.session_limits.sql, {
        "lock": LOCK_MILLISECONDS, "statement": STATEMENT_MILLISECONDS,
    })  # fmt: skip
    with connection.transaction():
        connection.execute(_Q.roles.sql, {})
    connection.execute(_Q.record_table.sql)


def _missing(
    connection: psycopg.Connection[tuple[object, ...]], known: list[Migration], phase: Phase
) -> list[Migration]:
    rows = connection.execute(_Q.applied.sql).fetchall()
    applied = {(number, applied_phase): checksum for number, applied_phase, checksum in rows}
    for migration in known:
        recorded = applied.get((migration.number, str(migration.phase)))
        if recorded not in (None, migration.checksum):
            raise MigrationError(
                f"{migration} was changed after it had been applied: write a new migration"
            )
    return [
        migration
        for migration in known
        if (migration.number, str(migration.phase)) not in applied
        and phase in (Phase.ALL, migration.phase)
    ]


def _apply_one(connection: psycopg.Connection[tuple[object, ...]], migration: Migration) -> None:
    with connection.transaction():
        connection.execute(migration.sql)
        connection.execute(_Q.record.sql, {
            "number": migration.number,
            "phase": str(migration.phase),
            "name": migration.name,
            "checksum": migration.checksum,
        })  # fmt: skip
