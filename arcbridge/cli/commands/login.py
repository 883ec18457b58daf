"""`arcbridge login`, `logout`, `context`: who you are, and where."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from arcbridge.cli import config
from arcbridge.cli.command import command
from arcbridge.cli.config import Context
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Format, Session

if TYPE_CHECKING:
    from arcbridge.cli.login.cache import Tokens

contexts = typer.Typer(no_args_is_help=True, help="Servers, and how to log in there.")


def register(app: typer.Typer) -> None:
    """Put the commands on the top level."""
    command(app, "login")(login)
    command(app, "logout")(logout)


def login(
    session: Session,
    issuer: Annotated[
        str | None, typer.Option("--issuer", help="The OpenID provider's issuer URL.")
    ] = None,
    client_id: Annotated[
        str | None, typer.Option("--client-id", help="This program's id at the provider.")
    ] = None,
    scope: Annotated[
        str | None, typer.Option("--scope", help="What to ask for, such as api://…/access.")
    ] = None,
    device: Annotated[
        bool,
        typer.Option("--device", help="Type a code in elsewhere: where no browser is."),
    ] = False,
    azure: Annotated[
        bool,
        typer.Option("--azure", help="Use the Azure CLI's login, or this machine's identity."),
    ] = False,
    azure_with: Annotated[
        config.AzureWith | None,
        typer.Option("--azure-with", help="The same, and from where alone.", show_default="any"),
    ] = None,
) -> None:
    """Log in, and remember server and provider as a context.

    In the browser of this machine (authorization code with PKCE), with --device, with --azure, or
    without a person: with ARCBRIDGE_CLIENT_ID and ARCBRIDGE_CLIENT_SECRET in the environment. With
    --azure and --azure-with nothing is kept but the choice: azure-identity gives each token.
    """
    azure = azure or azure_with is not None
    context = _context(session, issuer, client_id, scope, azure=azure)
    context = replace(context, azure_with=azure_with or context.azure_with)
    tokens = _tokens(session, context, device=device)
    if not context.azure:
        from arcbridge.cli.login.credential import as_program

        session.tokens.put(as_program(context, os.environ), tokens)
    config.save(session.config.put(context))
    session.say(f"logged in to {context.server} (context {context.name})")


def _context(
    session: Session, issuer: str | None, client_id: str | None, scope: str | None, *, azure: bool
) -> Context:
    name = session.context_name or session.config.current or "default"
    known = session.config.contexts.get(name)
    server = session.server or (known.server if known else None) or os.environ.get(config.SERVER)
    if not server:
        raise CommandError(Exit.USAGE, "which server?", remedy="add --server https://…")
    context = replace(known, server=server) if known else Context(name=name, server=server)
    context = replace(
        context,
        issuer=issuer or context.issuer,
        client_id=client_id or context.client_id,
        scope=scope or context.scope,
        azure=azure or (context.azure and issuer is None),
    )
    if context.azure and "openid" in context.scope.split():
        raise CommandError(
            Exit.USAGE, "--azure needs the API's scope", remedy="add --scope api://…/.default"
        )
    return replace(context, ca_file=os.environ.get(config.CA_FILE) or context.ca_file)


def _tokens(session: Session, context: Context, *, device: bool) -> Tokens:
    from arcbridge.cli.login import credential, oidc

    if context.azure:
        return credential.azure_tokens(context)
    if secret := os.environ.get(credential.CLIENT_SECRET):
        return oidc.with_secret(credential.as_program(context, os.environ), secret)
    if device:
        return oidc.with_device(
            context, lambda address, code: session.say(f"Open {address} and enter {code}")
        )
    return oidc.with_browser(context, lambda address: _open(session, address))


def _open(session: Session, address: str) -> bool:
    import webbrowser

    session.say(f"Log in here, if no browser opens:\n  {address}")
    return webbrowser.open(address)


def logout(session: Session) -> None:
    """Forget this context's tokens."""
    session.tokens.drop(session.context)
    session.say(f"logged out of {session.context.server}")


@command(contexts, "list")
def list_contexts(session: Session) -> None:
    """List contexts; the current one has a star."""
    from arcbridge.cli.output import cell, new_table, write

    found = session.config
    if session.output is not Format.TABLE:
        rows = [
            {"name": name, "server": context.server, "current": name == found.current}
            for name, context in sorted(found.contexts.items())
        ]
        write(session, rows)
        return
    table = new_table(["", "name", "server", "issuer"])
    for name, context in sorted(found.contexts.items()):
        star = "*" if name == found.current else " "
        table.add_row(cell(star), cell(name), cell(context.server), cell(context.issuer))
    session.out.print(table)


@command(contexts, "use")
def use(session: Session, name: Annotated[str, typer.Argument(help="The context.")]) -> None:
    """Make a context the current one."""
    context = config.choose(session.config, name=name, server=None, environ={})
    config.save(session.config.put(context))
    session.say(f"now using {name} ({context.server})")
