"""`arcbridge token …`: the one-time tokens that clusters join with."""

from __future__ import annotations

from typing import Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.session import Session

app = typer.Typer(no_args_is_help=True, help="One-time tokens that clusters join with.")


@command(app, "list")
def list_tokens(session: Session) -> None:
    """List tokens; their secrets are not shown again."""
    from arcbridge.cli.output import show_all

    show_all(
        session,
        session.client.tokens.list(),
        [
            ("id", lambda t: t.id),
            ("cluster", lambda t: t.cluster_name),
            ("approval", lambda t: t.approval),
            ("created by", lambda t: t.created_by),
            ("expires", lambda t: t.expires_at),
            ("used by", lambda t: t.used_by_cluster),
            ("revoked", lambda t: t.revoked_at),
        ],
    )


@command(app, "revoke")
def revoke(
    session: Session, token_id: Annotated[str, typer.Argument(help="The token's id.", metavar="ID")]
) -> None:
    """Make a token unusable."""
    from arcbridge.cli.arguments import uuid_of

    session.client.tokens.revoke(uuid_of(token_id))
    session.say(f"token {token_id} is revoked")
