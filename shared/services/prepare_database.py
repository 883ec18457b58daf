"""Prepares a database in Azure: `python -m shared.services.prepare_database --phase pre|post|all`.

For a server that knows Entra tokens and no passwords, where a deployment runs this as the server's
Entra administrator: it makes the database and the programs' logins where they are missing, applies
the migrations, lets the logins take the application's roles and makes the first tenants. Run again
it finds nothing to do. Anywhere else `python -m shared.store.migrate` is enough. It grants nobody
the schema's ownership.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.services.passwordless import HostIdentity, postgres_password
from shared.store import entra
from shared.store.migrate import DSN
from shared.store.migrations import MigrationError, Phase, add_tenant, allow_login, apply

LOGINS = "ARCBRIDGE_DATABASE_LOGINS"
TENANTS = "ARCBRIDGE_DATABASE_TENANTS"


@dataclass(frozen=True, slots=True)
class Login:
    """A program's identity in the directory, and its name in the database."""

    name: str
    object_id: uuid.UUID


def logins(text: str) -> tuple[Login, ...]:
    """Reads `name=object id`, separated by commas. Raises ValueError."""
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    found = tuple(Login(name.strip(), uuid.UUID(object_id.strip())) for name, _, object_id in pairs)
    if not all(login.name for login in found):
        raise ValueError(text)
    return found


async def password_of(url: str) -> str | None:
    """The token that opens the database; None when the URL has a password or needs none."""
    async with HostIdentity.open() as identity:
        password = postgres_password(url, identity)
        return await password() if password else None


def prepare(dsn: str, database: str, wanted: Sequence[Login], phase: Phase) -> list[str]:
    """Do what is missing; says what was done. Blocks. Raises MigrationError."""
    done = []
    if entra.create_database(dsn, database):
        done.append(f"database {database}")
    for login in wanted:
        if entra.create_login(dsn, login.name, login.object_id):
            done.append(f"login {login.name}")
    done += map(str, apply(dsn, phase))
    for login in wanted:
        allow_login(dsn, login.name)
    return done


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """0 when the database is as this release wants it, 1 when it could not be prepared."""
    parser = argparse.ArgumentParser(prog="prepare_database", description=__doc__)
    parser.add_argument("--phase", type=Phase, choices=list(Phase), default=Phase.ALL)
    phase: Phase = parser.parse_args(arguments).phase
    url = environ.get(DSN, "")
    database = urlsplit(url).path.removeprefix("/")
    if not database:
        parser.error(f"{DSN} must be set to a URL with a database")
    try:
        wanted = logins(environ.get(LOGINS, ""))
    except ValueError:
        parser.error(f"{LOGINS} must be name=object id, separated by commas")
    try:
        dsn = entra.with_password(url, asyncio.run(password_of(url)))
        done = prepare(dsn, database, wanted, phase)
        for tenant in filter(None, environ.get(TENANTS, "").split(",")):
            add_tenant(dsn, tenant)
    except (MigrationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"done: {', '.join(done) or 'nothing: the database is up to date'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
