"""`arcbridge events`: the audit trail, kept elsewhere, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Session
from shared.contract.wording import plural

if TYPE_CHECKING:
    from arcbridge.trail import Checked
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
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the whole trail to a file instead.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", help="With --verify: an export, checked without the server.", exists=True
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            help="With --verify: an export that the server's trail must go on from.",
            exists=True,
        ),
    ] = None,
) -> None:
    """Show the audit trail, newest first, export it, or verify it (status 8 when it is broken).

    Whoever owns the database could write the whole trail anew: an export that is kept elsewhere
    shows it, with --verify --against.
    """
    if (file or against) and not verify:
        raise CommandError(Exit.USAGE, "--file and --against say what to verify: add --verify")
    if export is not None:
        _export(session, export)
    elif file is not None:
        _verify_file(session, file)
    elif verify:
        _verify_server(session, against)
    else:
        show_events(session, islice(session.client.events.list(subject=subject), limit))


def _export(session: Session, path: Path) -> None:
    from arcbridge import trail

    stretches = session.client.events.export()
    end = trail.write(path, stretches, server=session.context.server, now=datetime.now(UTC))
    session.say(f"{_entries(end.sequence)} written to {path}; the last one's hash is {end.hash}")


def _verify_file(session: Session, path: Path) -> Checked:
    from arcbridge import trail
    from arcbridge.cli.output import show_one
    from shared.contract.events import EventVerification

    try:
        checked = trail.check(path)
    except trail.TrailError as error:
        raise CommandError(Exit.USAGE, str(error)) from error
    sequence = checked.end.sequence
    broken = None if checked.flaw is None else sequence + 1
    show_one(
        session,
        EventVerification(
            intact=checked.flaw is None,
            checked=sequence,
            first_broken_sequence=broken,
            detail=checked.flaw
            or f"{_entries(sequence)} of {checked.tenant}, each as it was written",
        ),
    )
    if checked.flaw is not None:
        raise CommandError(Exit.NOT_INTACT, f"the export is broken: {checked.flaw}")
    return checked


def _verify_server(session: Session, against: Path | None) -> None:
    from arcbridge.cli.output import show_one

    known = None if against is None else _verify_file(session, against).end
    for result in session.client.events.verify():
        if result.next_after is not None:
            session.say(f"{result.checked} of {_entries(result.written)} checked")
    show_one(session, result)
    if not result.intact:
        raise CommandError(Exit.NOT_INTACT, f"the audit trail is broken: {result.detail}")
    if known is not None and known.sequence:
        stretch = next(session.client.events.export(after=known.sequence - 1))
        entry = next(iter(stretch.items), None)
        if entry is None or (entry.sequence, entry.hash) != (known.sequence, known.hash):
            raise CommandError(
                Exit.NOT_INTACT,
                f"the trail is whole, and not the one of the export: entry {known.sequence} was "
                "another then",
            )


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


def _entries(count: int) -> str:
    return plural(count, "entry", "entries")
