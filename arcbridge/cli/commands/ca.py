"""`arcbridge ca …`: the certification authority, for those who run the platform."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Format, Session

if TYPE_CHECKING:
    from shared.contract.ca import CaGeneration, CaStatus

app = typer.Typer(no_args_is_help=True, help="The CA behind clusters and relays (platform admins).")


@command(app, "status")
def status(session: Session) -> None:
    """Show the CA's generations, the relays, and what a rotation waits for."""
    _show(session, session.client.ca.status())


@command(app, "rotate")
def rotate(
    session: Session,
    chain: Annotated[
        Path | None,
        typer.Option("--chain", help="PEM file: the new issuing certificate, then its root."),
    ] = None,
    key_id: Annotated[
        str | None, typer.Option("--key-id", help="URL of the key's version in Key Vault.")
    ] = None,
    override_offline: Annotated[
        bool,
        typer.Option(
            "--override-offline", help="Go on without the clusters that are offline; see status."
        ),
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; kept in the audit trail.")
    ] = None,
) -> None:
    """Start a rotation, or take the one under way on.

    Without a chain the CA's folder or the server's settings hold the next generation. It issues
    once every connected cluster trusts it; run it again at any time.
    """
    from pydantic import ValidationError

    from shared.contract.ca import CaRotateRequest

    try:
        request = CaRotateRequest(
            chain=chain.read_text() if chain else None,
            key_id=key_id,
            override_offline=override_offline,
            reason=reason,
        )
    except OSError as error:
        raise CommandError(Exit.USAGE, f"{chain} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise CommandError(Exit.USAGE, error.errors()[0]["msg"]) from error
    _show(session, session.client.ca.rotate(request))


@command(app, "abort")
def abort(
    session: Session,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit trail.")],
    generation: Annotated[
        str | None, typer.Argument(help="Its id (status); left out, the one that is prepared.")
    ] = None,
) -> None:
    """Take a generation back that is prepared: relays and agents drop its root.

    Refused once it issues, for clusters may hold certificates of it then. It cannot be prepared
    again; another one can.
    """
    from pydantic import ValidationError

    from shared.contract.ca import CaAbortRequest

    try:
        request = CaAbortRequest(generation=generation, reason=reason)
    except ValidationError as error:
        raise CommandError(Exit.USAGE, error.errors()[0]["msg"]) from error
    _show(session, session.client.ca.abort(request))


def _show(session: Session, found: CaStatus) -> None:
    from arcbridge.cli.output import show_all, show_one

    if session.output is not Format.TABLE:
        show_one(session, found)
        return
    show_all(
        session,
        iter(found.generations),
        [
            ("generation", lambda g: g.id),
            ("state", _state),
            ("serves", lambda g: g.serves),
            ("certificates", lambda g: g.live_certificates),
            ("ends", lambda g: g.not_after),
            ("root ends", lambda g: g.root_not_after),
        ],
    )
    sys.stdout.write(f"\nclusters with the trusted roots: {found.acknowledged}")
    sys.stdout.write(f", without: {found.pending}\n")
    if found.stragglers:
        sys.stdout.write("\n")
        show_all(
            session,
            iter(found.stragglers),
            [
                ("tenant", lambda s: s.tenant),
                ("cluster", lambda s: s.cluster_id),
                ("connected", lambda s: s.connected),
                ("heartbeat", lambda s: s.last_heartbeat),
            ],
        )
    for line in found.waiting_for:
        session.say(f"waits {line}")


def _state(generation: CaGeneration) -> str:
    aborted = generation.removed_at is not None and generation.issuing_at is None
    return "Aborted" if aborted else generation.state.value
