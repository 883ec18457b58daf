"""`arcbridge cluster …`: connect clusters, look at them, label them, let them go."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Format, Session

if TYPE_CHECKING:
    from shared.contract.registration import EnrolmentDecision

app = typer.Typer(no_args_is_help=True, help="Connect clusters and look after them.")
Name = Annotated[str, typer.Argument(help="The cluster's name.")]
Key = Annotated[
    str | None, typer.Option("--key", help="Pin of its key: sha256:… as its agent shows it.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit trail.")]


@command(app, "connect")
def connect(
    session: Session,
    name: Annotated[str, typer.Argument(help="The name that the cluster will have.")],
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="key=value; may be repeated.")
    ] = None,
    external_agent: Annotated[
        bool,
        typer.Option("--external-agent", help="Without the Deployment: the agent runs elsewhere."),
    ] = False,
    approval: Annotated[
        bool,
        typer.Option("--approval", help="It waits for `arcbridge cluster approve` when it joins."),
    ] = False,
) -> None:
    """Print the manifest that connects a cluster.

    The manifest goes to standard output: arcbridge cluster connect eu-1 | kubectl apply -f -
    It holds a token that works once, for a short time.
    """
    labels, removed = _changes(label or [])
    if removed:
        raise CommandError(Exit.USAGE, "a new cluster has no label to remove")
    pairs = ",".join(f"{key}={value}" for key, value in labels.items())
    waits = approval or session.client.joining_policy.get().approval
    manifest = session.client.clusters.agent_manifest(
        name, labels=pairs or None, external_agent=external_agent, approval=approval
    )
    sys.stdout.write(manifest)
    sys.stdout.flush()
    if sys.stdout.isatty():
        session.say(f"\nApply it: arcbridge cluster connect {name} | kubectl apply -f -")
    session.say(f"The manifest for {name} holds a token that works once, for half an hour.")
    session.say(f"Then: arcbridge cluster {'pending' if waits else f'get {name}'}")


@command(app, "pending")
def pending(session: Session) -> None:
    """List the clusters that wait for approval."""
    from arcbridge.cli.output import show_all

    show_all(
        session,
        session.client.enrolments.list(state="Pending"),
        [
            ("name", lambda e: e.name),
            ("key", lambda e: e.key_pin),
            ("from", lambda e: e.address),
            ("kubernetes", lambda e: e.facts.kubernetes_version),
            ("asked", lambda e: e.requested_at),
            ("ends", lambda e: e.ends_at),
            ("labels", lambda e: e.labels),
        ],
    )


@command(app, "approve")
def approve(session: Session, name: Name, key: Key = None, reason: Reason = None) -> None:
    """Let a cluster that waits join.

    With --key only the request of that key, which the agent shows on its ArcBridgeCluster.
    """
    session.client.enrolments.approve(name, _decision(key, reason))
    session.say(f"{name} is approved; it joins within a minute: arcbridge cluster get {name}")


@command(app, "reject")
def reject(session: Session, name: Name, key: Key = None, reason: Reason = None) -> None:
    """Turn a cluster that waits away; its token is of no use any more."""
    session.client.enrolments.reject(name, _decision(key, reason))
    session.say(f"{name} is turned away. To ask again: arcbridge cluster connect {name}")


@command(app, "list")
def list_clusters(
    session: Session,
    labels: Annotated[
        str | None,
        typer.Option("--labels", "-l", help="Label selector: env=prod,region in (eu,us)."),
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Connected, Offline, Pending, …")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="Part of the name.")] = None,
) -> None:
    """List clusters."""
    from arcbridge.cli.output import show_all

    show_all(
        session,
        session.client.clusters.list(labels=labels, state=state, text=text),
        [
            ("name", lambda c: c.name),
            ("state", lambda c: c.state),
            ("ready", lambda c: f"{c.extensions.ready}/{c.extensions.total}"),
            ("drifted", lambda c: c.extensions.drifted or None),
            ("kubernetes", lambda c: c.kubernetes_version),
            ("heartbeat", lambda c: c.last_heartbeat),
            ("labels", lambda c: c.labels),
        ],
    )


@command(app, "get")
def get(session: Session, name: Name) -> None:
    """Show one cluster and what runs on it."""
    from arcbridge.cli.output import show_all, show_one

    cluster = session.client.clusters.get(name)
    show_one(session, cluster)
    if session.output is not Format.TABLE:
        return
    sys.stdout.write("\n")
    show_all(
        session,
        session.client.clusters.extensions(name),
        [
            ("extension", lambda e: e.extension),
            ("phase", lambda e: e.phase),
            ("reason", lambda e: e.reason),
            ("desired", lambda e: e.desired_revision),
            ("observed", lambda e: e.observed_revision),
            ("reported", lambda e: e.reported_at),
        ],
    )


@command(app, "label")
def label(
    session: Session,
    name: Name,
    changes: Annotated[
        list[str], typer.Argument(help="key=value to set, key- to remove.", metavar="CHANGE...")
    ],
    reason: Reason = None,
) -> None:
    """Set and remove labels; extensions follow the labels."""
    from arcbridge.cli.output import show_one
    from shared.contract.cluster import ClusterPatch

    labels, removed = _changes(changes)
    fields = {"labels": {**labels, **dict.fromkeys(removed)}}
    patch = ClusterPatch(**fields, **({"reason": reason} if reason else {}))
    clusters = session.client.clusters
    show_one(session, clusters.patch(name, patch, etag=clusters.get(name).etag))


@command(app, "delete")
def delete(session: Session, name: Name, reason: Reason = None) -> None:
    """Deregister a cluster; what runs on it stays there."""
    session.client.clusters.delete(name, reason=reason)
    session.say(f"{name} is deregistered; its certificate is revoked. What runs on it stays.")


@command(app, "revoke")
def revoke(session: Session, name: Name, reason: Reason = None) -> None:
    """Revoke a cluster's certificate; its stream ends within seconds."""
    session.client.clusters.revoke(name, reason=reason)
    session.say(f"the certificate of {name} is revoked. To join again: arcbridge cluster connect")


@command(app, "events")
def events(session: Session, name: Name) -> None:
    """Show what happened to a cluster, newest first."""
    from arcbridge.cli.commands.events import show_events

    show_events(session, session.client.clusters.events(name))


def _decision(key: str | None, reason: str | None) -> EnrolmentDecision:
    from pydantic import ValidationError

    from shared.contract.registration import EnrolmentDecision

    try:
        return EnrolmentDecision(key_pin=key, reason=reason)
    except ValidationError as error:
        message = "--key is sha256: and 64 hexadecimal digits"
        raise CommandError(Exit.USAGE, message) from error


def _changes(texts: list[str]) -> tuple[dict[str, str], list[str]]:
    """`key=value` and `key-` as what to set and what to remove."""
    labels: dict[str, str] = {}
    removed: list[str] = []
    for text in texts:
        key, equals, value = text.partition("=")
        if equals and key:
            labels[key] = value
        elif text.endswith("-") and len(text) > 1:
            removed.append(text[:-1])
        else:
            raise CommandError(Exit.USAGE, f"{text!r} is neither key=value nor key-")
    return labels, removed
