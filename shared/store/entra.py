"""What Azure Database for PostgreSQL needs beside migrations: its database and identities' logins.

Runs as the server's Entra administrator, in the server's `postgres` database, because that is where
Azure keeps the functions that know the directory. Makes what is missing, changes nothing there is.
"""

from __future__ import annotations

import uuid
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shared.store.migrations import CONNECT_SECONDS, MigrationError
from shared.store.queries import load

ADMINISTRATION = "postgres"
_CREATE_DATABASE: LiteralString = "create database {}"
_Q = load("entra")


def with_password(dsn: str, password: str | None) -> str:
    """The connection string with a password; as it is when there is none."""
    return make_conninfo(dsn, password=password) if password else dsn


def create_database(dsn: str, name: str) -> bool:
    """Make the database; False when there is one. Raises MigrationError."""
    try:
        with _administration(dsn) as connection:
            if _is_there(connection, _Q.has_database.sql, {"database": name}):
                return False
            # A name cannot be a bound parameter here; it is quoted as an identifier.
            connection.execute(sql.SQL(_CREATE_DATABASE).format(sql.Identifier(name)))
            return True
    except psycopg.errors.DuplicateDatabase:
        return False  # another run was as quick
    except psycopg.Error as error:
        raise MigrationError(f"the database {name} could not be made: {error}") from error


def create_login(dsn: str, name: str, object_id: uuid.UUID) -> bool:
    """Make a login for an identity; False when there is one. Raises MigrationError."""
    try:
        with _administration(dsn) as connection:
            if _is_there(connection, _Q.has_login.sql, {"login": name}):
                return False
            connection.execute(_Q.create_login.sql, {"login": name, "object_id": str(object_id)})
            return True
    except psycopg.Error as error:
        raise MigrationError(f"the login {name} could not be made: {error}") from error


def _administration(dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        make_conninfo(dsn, dbname=ADMINISTRATION), autocommit=True, connect_timeout=CONNECT_SECONDS
    )


def _is_there(
    connection: psycopg.Connection[tuple[object, ...]],
    query: LiteralString,
    parameters: dict[str, str],
) -> bool:
    row = connection.execute(query, parameters).fetchone()
    return row is not None and row[0] is True
