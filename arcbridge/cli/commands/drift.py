"""`arcbridge drift …`: what differs from what was declared, and what to do about it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.session import Format, Session

if TYPE_CHECKING:
    from shared.contract.cluster import Drift

app = typer.Typer(no_args_is_help=True, help="What differs from what was declared.")
Id = Annotated[str, typer.Argument(help="The drift's id.", metavar="DRIFT")]


@command(app, "list")
def list_drift(
    session: Session,
    cluster: Annotated[str | None, typer.Option("--cluster", help="On one cluster.")] = None,
    extension: Annotated[str | None, typer.Option("--extension", help="Of one extension.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="version, manifest or silence.")
    ] = None,
) -> None:
    """List open drift with its fields and who changed them."""
    from arcbridge.cli.output import show_all

    found = list(session.client.drift.list(cluster=cluster, extension=extension, kind=kind))
    show_all(
        session,
        found,
        [
            ("id", lambda d: d.id),
            ("cluster", lambda d: d.cluster),
            ("extension", lambda d: d.extension),
            ("kind", lambda d: d.kind),
            ("since", lambda d: d.since),
            ("differences", lambda d: f"{len(d.differences)}{'+' if d.truncated else ''}"),
            ("correcting", lambda d: "waits for the pace" if d.waiting_for else d.correcting),
        ],
    )
    if session.output is Format.TABLE:
        _show_differences(session, found)


def _show_differences(session: Session, found: list[Drift]) -> None:
    from arcbridge.cli.output import cell, new_table

    rows = [(drift, each) for drift in found for each in drift.differences]
    if not rows:
        return
    table = new_table(["cluster", "object", "path", "desired", "observed", "managers"])
    for drift, each in rows:
        place = f"{each.namespace}/{each.name}" if each.namespace else each.name
        table.add_row(
            cell(drift.cluster),
            cell(f"{each.object_kind} {place}"),
            cell(each.path or each.kind),
            cell(each.desired),
            cell(each.observed),
            cell(", ".join(each.managers)),
        )
    sys.stdout.write("\n")
    session.out.print(table)


@command(app, "correct")
def correct(
    session: Session,
    drift: Id,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; kept in the audit trail.")
    ] = None,
) -> None:
    """Ask the cluster's agent to set it right, once."""
    from arcbridge.cli.arguments import uuid_of
    from arcbridge.cli.output import show_one

    show_one(session, session.client.drift.correct(uuid_of(drift), reason=reason))


@command(app, "correct-many")
def correct_many(
    session: Session,
    extension: Annotated[str, typer.Argument(help="The extension's name.")],
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", "-l", help="Only on clusters with these: env=prod,region in (eu,us)."
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; kept in the audit trail.")
    ] = None,
) -> None:
    """Have an extension's drift set right on many clusters, at the pace of its rollouts."""
    from arcbridge.cli.output import show_one

    show_one(session, session.client.drift.correct_many(extension, labels=labels, reason=reason))


@command(app, "accept")
def accept(
    session: Session,
    drift: Id,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit trail.")],
    until: Annotated[
        str, typer.Option("--until", help="For how long, or until when: 12h, 2030-01-01T00:00Z.")
    ],
) -> None:
    """Call the differences right, for a while."""
    from arcbridge.cli.arguments import time_ahead, uuid_of
    from arcbridge.cli.output import show_one

    accepted = session.client.drift.accept(
        uuid_of(drift), reason=reason, expires_at=time_ahead(until)
    )
    show_one(session, accepted)
