"""`arcbridge freeze …`: when rollouts may release, and when not."""

from __future__ import annotations

from typing import Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Session

app = typer.Typer(no_args_is_help=True, help="Freezes and windows: when rollouts may release.")
Name = Annotated[str, typer.Argument(help="Its name.", metavar="NAME")]


@command(app, "list")
def list_freezes(session: Session) -> None:
    """List freezes and windows, and whether they are in force."""
    from arcbridge.cli.output import show_all

    show_all(
        session,
        session.client.freezes.list(),
        [
            ("name", lambda f: f.name),
            ("kind", lambda f: f.kind),
            ("scope", lambda f: f.scope),
            ("in force", lambda f: f.in_force),
            ("changes", lambda f: f.changes_at),
            ("time zone", lambda f: f.time_zone if f.weekly else None),
            ("reason", lambda f: f.reason),
        ],
    )


@command(app, "set")
def set_freeze(
    session: Session,
    name: Name,
    allow: Annotated[
        bool, typer.Option("--allow", help="A window: releases only while it is open.")
    ] = False,
    for_all: Annotated[
        bool, typer.Option("--global", help="For every rollout, named in its strategy or not.")
    ] = False,
    weekly: Annotated[
        list[str] | None,
        typer.Option("--weekly", help="Such as mon,tue,fri/22:00-04:00; more than once."),
    ] = None,
    zone: Annotated[str, typer.Option("--zone", help="IANA time zone of --weekly.")] = "UTC",
    start: Annotated[str | None, typer.Option("--from", help="Not before: a time or 2h.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Not after: a time or 7d.")] = None,
    extension: Annotated[
        list[str] | None, typer.Option("--extension", help="Only for it; more than once.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; kept in the audit trail.")
    ] = None,
) -> None:
    """Make or change a freeze, or with --allow a window. Without times it holds until deleted."""
    from arcbridge.cli.arguments import time_ahead
    from arcbridge.cli.output import show_one
    from shared.contract.freeze import FreezeKind, FreezeScope, FreezeSpec

    wanted = {
        "kind": FreezeKind.ALLOW if allow else FreezeKind.DENY,
        "scope": FreezeScope.GLOBAL if for_all else FreezeScope.NAMED,
        "timeZone": zone,
        "weekly": [_weekly(text) for text in weekly or ()],
        "startsAt": time_ahead(start) if start else None,
        "endsAt": time_ahead(until) if until else None,
        "extensions": extension or (),
        "reason": reason,
    }
    show_one(session, session.client.freezes.put(name, FreezeSpec.model_validate(wanted)))


def _weekly(text: str) -> dict[str, object]:
    days, slash, times = text.partition("/")
    start, dash, end = times.partition("-")
    if not slash or not dash:
        raise CommandError(
            Exit.USAGE, f"{text!r} is no weekly time: write it as mon,tue/22:00-04:00"
        )
    return {"days": days.split(","), "start": start, "end": end}


@command(app, "delete")
def delete(session: Session, name: Name) -> None:
    """Remove a freeze or window that no rollout under way names."""
    session.client.freezes.delete(name)
    session.say(f"{name} is deleted")
