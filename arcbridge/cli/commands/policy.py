"""`arcbridge policy …`: where the tenant's extensions may come from, and how clusters join it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Session

app = typer.Typer(no_args_is_help=True, help="Where extensions come from, and how clusters join.")


@command(app, "get")
def get(session: Session) -> None:
    """Show the artifact policy."""
    from arcbridge.cli.output import show_one

    show_one(session, session.client.artifact_policy.get())


@command(app, "set")
def set_policy(
    session: Session,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="https://host/path or oci://*.host; more than once."),
    ] = None,
    inline: Annotated[
        bool, typer.Option("--inline/--no-inline", help="Whether documents may carry content.")
    ] = True,
    require_digest: Annotated[
        bool, typer.Option("--require-digest", help="Everything fetched is pinned by digest.")
    ] = False,
    cosign_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--cosign-key",
            help="A public key that has to have signed; more than once.",
            exists=True,
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; kept in the audit trail.")
    ] = None,
) -> None:
    """Set the artifact policy: all of it, so what is not given is not demanded.

    It counts from the next publish on. What runs stays, and a rollback gets through.
    """
    from pydantic import ValidationError

    from arcbridge.cli.output import show_one
    from shared.contract.artifact_policy import ArtifactPolicySpec

    try:
        spec = ArtifactPolicySpec(
            sources=tuple(source or ()),
            inline=inline,
            require_digest=require_digest,
            cosign_keys=tuple(path.read_text().strip() for path in cosign_key or ()),
            reason=reason,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = "--source" if first["loc"][0] == "sources" else "--cosign-key"
        raise CommandError(
            Exit.USAGE,
            f"{where} {first['input']!r} cannot be used",
            remedy="a source is https://host/path, oci://host/path or oci://*.host; a key is PEM",
        ) from error
    show_one(session, session.client.artifact_policy.put(spec))


@command(app, "joining")
def joining(
    session: Session,
    approval: Annotated[
        bool | None,
        typer.Option(
            "--approval/--no-approval", help="Whether every cluster that joins waits for an admin."
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; kept in the audit trail.")
    ] = None,
) -> None:
    """Show the joining policy, or set it.

    With approval every cluster that joins or joins again waits for `arcbridge cluster approve`,
    whatever its token says and whenever that was made.
    """
    from arcbridge.cli.output import show_one
    from shared.contract.joining_policy import JoiningPolicySpec

    policy = session.client.joining_policy
    if approval is None:
        if reason is not None:
            raise CommandError(Exit.USAGE, "--reason goes with --approval or --no-approval")
        show_one(session, policy.get())
        return
    show_one(session, policy.put(JoiningPolicySpec(approval=approval, reason=reason)))
