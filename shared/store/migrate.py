"""The command that a deployment runs: `python -m shared.store.migrate --phase pre`.

It connects as the schema's owner (`--dsn` or ARCBRIDGE_MIGRATION_POSTGRES_URL), which the
application itself never is. `--login NAME` lets an existing login take the application's roles;
`--tenant NAME` makes a tenant, which a new service needs one of.
"""

from __future__ import annotations

import argparse
import os
import sys

from shared.store.migrations import MigrationError, Phase, add_tenant, allow_login, apply

DSN = "ARCBRIDGE_MIGRATION_POSTGRES_URL"


def main(arguments: list[str] | None = None) -> int:
    """Apply what is missing; 0 when the database is as this release wants it."""
    parser = argparse.ArgumentParser(prog="python -m shared.store.migrate", description=__doc__)
    parser.add_argument("--phase", type=Phase, choices=list(Phase), default=Phase.ALL)
    parser.add_argument("--dsn", default=os.environ.get(DSN), help=f"default: ${DSN}")
    parser.add_argument("--login", help="the application's login, to be given its two roles")
    parser.add_argument("--tenant", action="append", default=[], help="make it; may be repeated")
    chosen = parser.parse_args(arguments)
    if not chosen.dsn:
        parser.error(f"give --dsn or set {DSN}")
    try:
        applied = apply(chosen.dsn, chosen.phase)
        if chosen.login:
            allow_login(chosen.dsn, chosen.login)
        for tenant in chosen.tenant:
            add_tenant(chosen.dsn, tenant)
    except MigrationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    names = ", ".join(map(str, applied)) or "nothing: the database is up to date"
    sys.stdout.write(f"applied: {names}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
