"""`arcbridge events`: the audit trail, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Session

if TYPE_CHECKING:
    from shared.contract.events import Event


def register(app: typer.Typer) -> None:
    """Put the command on the top level."""
    command(app, "events")(events)


def events(
    session: Session,
    subject: Annotated[
        str | None, typer.Option("--subject", help="Of one thing: cluster/eu-1, rollout/<id>, …")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many.", min=1)] = 100,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that nobody has changed the trail instead.")
    ] = False,
) -> None:
    """Show the audit trail, newest first, or verify it (exit status 8 when it is broken)."""
    if not verify:
        show_events(session, islice(session.client.events.list(subject=subject), limit))
        return
    from arcbridge.cli.output import show_one

    result = session.client.events.verify()
    show_one(session, result)
    if not result.intact:
        raise CommandError(Exit.NOT_INTACT, f"the audit trail is broken: {result.detail}")


def show_events(session: Session, found: Iterator[Event]) -> None:
    """Entries as a table."""
    from arcbridge.cli.output import show_all

    show_all(
        session,
        found,
        [
            ("#", lambda e: e.sequence),
            ("when", lambda e: e.at),
            ("who", lambda e: e.actor),
            ("did", lambda e: e.action),
            ("to", lambda e: e.subject),
            ("reason", lambda e: e.reason),
            ("message", lambda e: e.message),
        ],
    )
