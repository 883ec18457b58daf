"""`arcbridge status`: what needs a person, and the fleet in numbers."""

from __future__ import annotations

import sys

import typer

from arcbridge.cli.command import command
from arcbridge.cli.session import Format, Session


def register(app: typer.Typer) -> None:
    """Put the command on the top level."""
    command(app, "status")(status)


def status(session: Session) -> None:
    """Show open incidents, worst first, and counts of clusters and rollouts."""
    from arcbridge.cli.output import plain, show_all, write

    summary = session.client.health_summary()
    if session.output is not Format.TABLE:
        write(session, summary.to_wire())
        return
    sys.stdout.write(f"clusters  {plain(summary.clusters)}\n")
    sys.stdout.write(f"rollouts  {plain(summary.rollouts)}\n\n")
    show_all(
        session,
        summary.incidents,
        [
            ("severity", lambda i: i.severity),
            ("scope", lambda i: i.scope),
            ("reason", lambda i: i.reason),
            ("since", lambda i: i.since),
            ("message", lambda i: i.message),
            ("runbook", lambda i: i.runbook),
        ],
    )
