"""`arcbridge apply` and `rollback`: from declared files to rollouts, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.commands.foresee import Files
from arcbridge.cli.session import Session
from shared.contract.wording import plural

if TYPE_CHECKING:
    from shared.contract.rollout import PublishResult, WayBack

Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept with the revision.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the rollout until it is over.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the top level."""
    command(app, "apply")(apply)
    command(app, "rollback")(rollback)


def apply(session: Session, filename: Files, reason: Reason = None, wait: Wait = False) -> None:
    """Publish extensions; each change makes a revision and starts a rollout.

    A local chart (helm.chartPath) or overlay (kustomize.path without files) is packed into the
    document, the same way each time.
    """
    from arcbridge.cli.manifests import read_manifests

    manifests = read_manifests(filename, reason=reason)
    results: list[PublishResult] = []
    try:
        for each in manifests:
            results.append(session.client.extensions.publish(each))
    finally:  # what went out before a refusal is under way: whoever was refused has to know
        if results:
            _show_published(session, results)
    if wait:
        _follow_all(session, results)


def _show_published(session: Session, results: list[PublishResult]) -> None:
    from arcbridge.cli.output import show_all

    show_all(
        session,
        results,
        [
            ("extension", lambda r: r.extension),
            ("revision", lambda r: r.revision),
            ("outcome", _outcome),
            ("rollout", lambda r: r.rollout_id),
            ("superseded", lambda r: ", ".join(map(str, r.superseded)) or None),
        ],
    )
    for result in results:
        for warning in result.warnings:
            session.say(f"warning: {result.extension}: {warning.field}: {warning.message}")
            if warning.remedy:
                session.say(f"  {warning.remedy}")


def _outcome(result: PublishResult) -> str:
    if result.created:
        return "published"
    return "rolled out again" if result.started else "unchanged"


def _follow_all(session: Session, results: list[PublishResult]) -> None:
    """Each to its end, so that one that fails hides no other; then status 7 for the first."""
    from arcbridge.cli.commands.rollout import require_success
    from arcbridge.cli.watch import follow

    started = [result.rollout_id for result in results if result.rollout_id is not None]
    for end in [follow(session, each, interval=1.0) for each in started]:
        require_success(end)


def rollback(
    session: Session,
    extension: Annotated[str, typer.Argument(help="The extension's name.")],
    to_revision: Annotated[
        int | None,
        typer.Option(
            "--to-revision",
            help="This revision everywhere, instead of each cluster's last known good one.",
            min=1,
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; kept in the audit trail.")
    ] = None,
    wait: Wait = False,
) -> None:
    """Go back to what was good on each cluster before the newest revision.

    Where nothing was, the extension is removed. The newest revision is quarantined: it goes out
    again once `arcbridge extension release` lifts that and it is applied again.
    """
    from arcbridge.cli.commands.rollout import require_success
    from arcbridge.cli.output import show_one
    from arcbridge.cli.watch import follow
    from shared.contract.rollout import RollbackRequest

    request = RollbackRequest(to_revision=to_revision, reason=reason)
    result = session.client.extensions.rollback(extension, request)
    show_one(session, result)
    for way in result.ways:
        session.say(_in_words(way))
    if wait:
        require_success(follow(session, result.rollout_id, interval=1.0))
    else:
        session.say(f"Follow it: arcbridge rollout watch {result.rollout_id}")


def _in_words(way: WayBack) -> str:
    clusters = plural(way.clusters, "cluster")
    if way.to_revision:
        return f"back to revision {way.to_revision} on {clusters}"
    return f"removed from {clusters}: no other revision was ever good there"
