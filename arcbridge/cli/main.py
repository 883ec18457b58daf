"""The command line's top: `arcbridge`."""

from __future__ import annotations

import typer

from arcbridge.cli.command import remember
from arcbridge.cli.commands import (
    admin,
    ca,
    cluster,
    declare,
    drift,
    events,
    extension,
    foresee,
    freeze,
    health,
    login,
    policy,
)
from arcbridge.cli.commands import rollout as rollouts
from arcbridge.cli.commands import token as tokens

app = typer.Typer(
    name="arcbridge",
    help="Connect Kubernetes clusters and roll extensions out to them safely.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(remember)
login.register(app)
app.add_typer(login.contexts, name="context")
app.add_typer(cluster.app, name="cluster")
app.add_typer(tokens.app, name="token")
declare.register(app)
foresee.register(app)
app.add_typer(extension.app, name="extension")
app.add_typer(rollouts.app, name="rollout")
app.add_typer(freeze.app, name="freeze")
app.add_typer(ca.app, name="ca")
app.add_typer(policy.app, name="policy")
app.add_typer(drift.app, name="drift")
events.register(app)
health.register(app)
app.add_typer(admin.app, name="admin")


def run() -> None:
    """The entry point of the installed command."""
    app(prog_name="arcbridge")
