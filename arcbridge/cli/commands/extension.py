"""`arcbridge extension …`: what is declared, its history, and where it is."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.session import Format, Session

app = typer.Typer(no_args_is_help=True, help="Extensions, their revisions and where they are.")
Name = Annotated[str, typer.Argument(help="The extension's name.")]
Number = Annotated[int, typer.Argument(help="The revision's number.", min=1, metavar="REVISION")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit trail.")]


@command(app, "list")
def list_extensions(session: Session) -> None:
    """List extensions."""
    from arcbridge.cli.output import show_all

    show_all(
        session,
        session.client.extensions.list(),
        [
            ("name", lambda e: e.name),
            ("revision", lambda e: e.revision),
            ("last good", lambda e: e.last_good_revision),
            ("ready", lambda e: f"{e.clusters.ready}/{e.clusters.desired}"),
            ("failed", lambda e: e.clusters.failed or None),
            ("drifted", lambda e: e.clusters.drifted or None),
            ("rollout", lambda e: e.active_rollout),
            ("updated", lambda e: e.updated_at),
        ],
    )


@command(app, "get")
def get(session: Session, name: Name) -> None:
    """Show one extension and the clusters it is on."""
    from arcbridge.cli.output import show_all, show_one

    show_one(session, session.client.extensions.get(name))
    if session.output is not Format.TABLE:
        return
    sys.stdout.write("\n")
    show_all(
        session,
        session.client.extensions.clusters(name),
        [
            ("cluster", lambda e: e.cluster),
            ("phase", lambda e: e.phase),
            ("desired", lambda e: e.desired_revision),
            ("observed", lambda e: e.observed_revision),
            ("last good", lambda e: e.last_good_revision),
            ("reported", lambda e: e.reported_at),
        ],
    )


@command(app, "clusters")
def clusters(session: Session, name: Name) -> None:
    """List the clusters an extension is on."""
    from arcbridge.cli.output import show_all

    show_all(
        session,
        session.client.extensions.clusters(name),
        [
            ("cluster", lambda e: e.cluster),
            ("phase", lambda e: e.phase),
            ("desired", lambda e: e.desired_revision),
            ("observed", lambda e: e.observed_revision),
        ],
    )


@command(app, "history")
def history(session: Session, name: Name) -> None:
    """List an extension's revisions, newest first."""
    from arcbridge.cli.output import show_all

    show_all(
        session,
        session.client.extensions.revisions(name),
        [
            ("revision", lambda r: r.number),
            ("state", lambda r: r.state),
            ("created", lambda r: r.created_at),
            ("by", lambda r: r.created_by),
            ("from", lambda r: r.provenance),
            ("reason", lambda r: r.quarantine_reason or r.reason),
            ("digest", lambda r: r.digest[:19]),
        ],
    )


@command(app, "delete")
def delete(session: Session, name: Name, reason: Reason = None) -> None:
    """Remove an extension from every cluster, in a paced rollout."""
    from arcbridge.cli.output import show_one

    rollout = session.client.extensions.delete(name, reason=reason)
    show_one(session, rollout)
    session.say(f"{name} is being removed. Follow it: arcbridge rollout watch {rollout.id}")


@command(app, "quarantine")
def quarantine(session: Session, name: Name, number: Number, reason: Reason = None) -> None:
    """Release a revision nowhere any more."""
    from arcbridge.cli.output import show_one

    show_one(session, session.client.extensions.quarantine(name, number, reason=reason))


@command(app, "release")
def release(session: Session, name: Name, number: Number, reason: Reason = None) -> None:
    """End a revision's quarantine."""
    from arcbridge.cli.output import show_one

    show_one(session, session.client.extensions.release(name, number, reason=reason))
