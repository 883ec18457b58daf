"""`arcbridge rollout …`: see how a rollout goes, and step in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Format, Session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.contract.rollout import Rollout, RolloutTarget

app = typer.Typer(no_args_is_help=True, help="Rollouts: how they go, and stepping in.")
Id = Annotated[
    str, typer.Argument(help="The rollout's id, or an extension for its newest.", metavar="ROLLOUT")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit trail.")]


@command(app, "list")
def list_rollouts(
    session: Session,
    extension: Annotated[str | None, typer.Option("--extension", help="Of one extension.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Running, Failed, …")] = None,
) -> None:
    """List rollouts, newest first."""
    from arcbridge.cli.output import show_all
    from arcbridge.cli.watch import waiting_in_words

    show_all(
        session,
        session.client.rollouts.list(extension=extension, state=state),
        [
            ("id", lambda r: r.id),
            ("extension", lambda r: r.extension),
            ("kind", lambda r: r.kind),
            ("revision", lambda r: r.revision),
            ("state", lambda r: r.state),
            ("done", _done),
            ("created", lambda r: r.created_at),
            ("waiting for", lambda r: waiting_in_words(r.waiting_for) if r.waiting_for else None),
        ],
    )


def _done(rollout: Rollout) -> str:
    total = sum(stage.total for stage in rollout.stages)
    return f"{sum(stage.succeeded for stage in rollout.stages)}/{total}"


@command(app, "get")
def get(session: Session, rollout: Id) -> None:
    """Show one rollout, and each of its clusters."""
    import sys

    from arcbridge.cli.output import show_one

    found = find(session, rollout)
    show_one(session, found)
    if session.output is not Format.TABLE:
        return
    sys.stdout.write("\n")
    _show_targets(session, session.client.rollouts.targets(found.id))


@command(app, "targets")
def targets(
    session: Session,
    rollout: Id,
    state: Annotated[
        str | None, typer.Option("--state", help="ToApply, Applying, Failed, Skipped, …")
    ] = None,
) -> None:
    """List a rollout's clusters in release order: what happened to each, and what it waits for."""
    found = find(session, rollout)
    _show_targets(session, session.client.rollouts.targets(found.id, state=state))


def _show_targets(session: Session, found: Iterable[RolloutTarget]) -> None:
    from arcbridge.cli.output import show_all
    from arcbridge.cli.watch import waiting_in_words

    show_all(
        session,
        found,
        [
            ("cluster", lambda t: t.cluster),
            ("stage", lambda t: t.stage),
            ("state", lambda t: t.state),
            ("from", lambda t: t.previous_revision),
            ("to", lambda t: t.revision),
            ("reason", lambda t: t.waiting_for.reason if t.waiting_for else t.reason),
            (
                "message",
                lambda t: waiting_in_words(t.waiting_for) if t.waiting_for else t.message,
            ),
            ("since", lambda t: t.waiting_for.since if t.waiting_for else t.finished_at),
        ],
    )


@command(app, "watch")
def watch(
    session: Session,
    rollout: Id,
    interval: Annotated[
        float, typer.Option("--interval", help="Seconds between looks.", min=0.1)
    ] = 1.0,
    give_up_after: Annotated[
        float | None, typer.Option("--give-up-after", help="Stop watching after these seconds.")
    ] = None,
) -> None:
    """Follow a rollout until it is over; exit status 7 when it did not reach its goal."""
    from arcbridge.cli.watch import follow

    end = follow(session, find(session, rollout).id, interval=interval, seconds=give_up_after)
    if session.output is not Format.TABLE:
        _show(session, end)
    require_success(end)


@command(app, "pause")
def pause(session: Session, rollout: Id, reason: Reason = None) -> None:
    """Release nothing more until it is resumed."""
    _show(session, session.client.rollouts.pause(find(session, rollout).id, reason=reason))


@command(app, "resume")
def resume(session: Session, rollout: Id, reason: Reason = None) -> None:
    """Go on with a paused rollout."""
    _show(session, session.client.rollouts.resume(find(session, rollout).id, reason=reason))


@command(app, "cancel")
def cancel(session: Session, rollout: Id, reason: Reason = None) -> None:
    """End a rollout here; what was released stays."""
    _show(session, session.client.rollouts.cancel(find(session, rollout).id, reason=reason))


@command(app, "approve")
def approve(session: Session, rollout: Id, reason: Reason = None) -> None:
    """Open the stage that waits for a person."""
    _show(session, session.client.rollouts.approve(find(session, rollout).id, reason=reason))


@command(app, "retry")
def retry(session: Session, rollout: Id, reason: Reason = None) -> None:
    """Start a new rollout of only the failed, timed-out and skipped clusters."""
    _show(session, session.client.rollouts.retry(find(session, rollout).id, reason=reason))


@command(app, "override-freeze")
def override_freeze(
    session: Session,
    rollout: Id,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit trail.")],
    until: Annotated[
        str, typer.Option("--until", help="For how long, or until when: 2h, 2030-01-01T00:00Z.")
    ],
) -> None:
    """Let a rollout release in spite of freezes and windows, for a while."""
    from arcbridge.cli.arguments import time_ahead

    found = find(session, rollout)
    expires_at = time_ahead(until)
    _show(
        session,
        session.client.rollouts.override_freeze(found.id, reason=reason, expires_at=expires_at),
    )


def find(session: Session, text: str) -> Rollout:
    """A rollout by its id, or the newest one of an extension."""
    from uuid import UUID

    try:
        rollout_id = UUID(text)
    except ValueError:
        newest = next(iter(session.client.rollouts.list(extension=text)), None)
        if newest is None:
            raise CommandError(
                Exit.NOT_FOUND, f"{text!r} is no rollout's id, and no extension with a rollout"
            ) from None
        return newest
    return session.client.rollouts.get(rollout_id)


def require_success(rollout: Rollout) -> None:
    """Raise CommandError, status 7, for a watched rollout that ended without its goal."""
    from shared.contract.states import RolloutState

    if rollout.state is RolloutState.SUCCEEDED:
        _require_a_cluster(rollout)
        return
    more = ""
    if rollout.rolled_back_by:
        more = f"; the way back is rollout {rollout.rolled_back_by}"
    elif rollout.superseded_by:
        more = f"; rollout {rollout.superseded_by} took over"
    raise CommandError(
        Exit.ROLLOUT_FAILED,
        f"rollout of {rollout.extension} ended as {rollout.state}{more}",
        remedy=f"see: arcbridge rollout get {rollout.id}",
    )


def _require_a_cluster(rollout: Rollout) -> None:
    """Nothing failed where every cluster was skipped, but whoever waited has nothing yet."""
    skipped = sum(stage.skipped for stage in rollout.stages)
    if skipped and not any(stage.succeeded or stage.failed for stage in rollout.stages):
        raise CommandError(
            Exit.ROLLOUT_FAILED,
            f"rollout of {rollout.extension} reached no cluster: {skipped} skipped",
            remedy="they are taken up as they return; to see which: "
            f"arcbridge rollout targets {rollout.id}",
        )


def _show(session: Session, rollout: Rollout) -> None:
    from arcbridge.cli.output import show_one

    show_one(session, rollout)
