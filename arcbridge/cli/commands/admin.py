"""`arcbridge admin …`: tenants, for those who run the platform; a tenant to a file and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Session

if TYPE_CHECKING:
    from arcbridge.archive import Archive
    from shared.contract.archive import ArchiveRecord

app = typer.Typer(no_args_is_help=True, help="Tenants, for those who run the platform.")
TenantName = Annotated[str, typer.Argument(help="The tenant.", metavar="TENANT")]
Why = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit trail.")]

Clusters = Annotated[int | None, typer.Option("--clusters", help="At most so many.", min=0)]
Extensions = Annotated[int | None, typer.Option("--extensions", help="At most so many.", min=0)]
Publishes = Annotated[
    int | None, typer.Option("--publishes", help="At most so many in an hour.", min=0)
]

BATCH_BYTES = 512 * 1024
"""Half of what the server takes: the records' size is measured without their wrapping."""


@command(app, "tenants")
def tenants(session: Session) -> None:
    """List tenants, and how much of their quotas is used."""
    from arcbridge.cli.output import show_all

    show_all(
        session,
        session.client.tenants.list(),
        [
            ("name", lambda t: t.name),
            ("state", lambda t: t.state),
            ("clusters", lambda t: f"{t.usage.clusters}/{t.quotas.clusters}"),
            ("extensions", lambda t: f"{t.usage.extensions}/{t.quotas.extensions}"),
            ("created", lambda t: t.created_at),
        ],
    )


@command(app, "get")
def get(session: Session, tenant: TenantName) -> None:
    """Show one tenant: its state, its quotas and what is used of them."""
    from arcbridge.cli.output import show_one

    show_one(session, session.client.tenants.get(tenant))


@command(app, "create")
def create(
    session: Session,
    tenant: TenantName,
    clusters: Clusters = None,
    extensions: Extensions = None,
    publishes: Publishes = None,
    reason: Why = None,
) -> None:
    """Make a tenant. Which directory's people belong to it is a setting of the service."""
    from arcbridge.cli.output import show_one
    from shared.contract.tenant import TenantRequest

    limits = _quotas(clusters, extensions, publishes)
    request = TenantRequest.model_validate({"name": tenant, "quotas": limits, "reason": reason})
    show_one(session, session.client.tenants.create(request))


@command(app, "quota")
def quota(
    session: Session,
    tenant: TenantName,
    clusters: Clusters = None,
    extensions: Extensions = None,
    publishes: Publishes = None,
    reason: Why = None,
) -> None:
    """Change a tenant's quotas; those not given stay. What it has beyond them stays, too."""
    from arcbridge.cli.output import show_one
    from shared.contract.tenant import TenantPatch

    changes = _quotas(clusters, extensions, publishes)
    if not changes:
        raise CommandError(Exit.USAGE, "which quota? add --clusters, --extensions or --publishes")
    limits = {**session.client.tenants.get(tenant).quotas.to_wire(), **changes}
    patch = TenantPatch.model_validate({"quotas": limits, "reason": reason})
    show_one(session, session.client.tenants.patch(tenant, patch))


def _quotas(clusters: int | None, extensions: int | None, publishes: int | None) -> dict[str, int]:
    """Those that were given, as they stand on the wire."""
    given = {"clusters": clusters, "extensions": extensions, "publishesPerHour": publishes}
    return {name: most for name, most in given.items() if most is not None}


@command(app, "suspend")
def suspend(session: Session, tenant: TenantName, reason: Why = None) -> None:
    """Refuse a tenant's people and agents; its clusters run on, its rollouts rest."""
    session.client.tenants.suspend(tenant, reason=reason)
    session.say(f"{tenant} is suspended")


@command(app, "resume")
def resume(session: Session, tenant: TenantName, reason: Why = None) -> None:
    """Let a suspended tenant in again."""
    session.client.tenants.resume(tenant, reason=reason)
    session.say(f"{tenant} is active")


@command(app, "delete")
def delete(session: Session, tenant: TenantName) -> None:
    """Remove a suspended tenant's data for good; its audit trail stays."""
    session.client.tenants.delete(tenant)
    session.say(f"{tenant} is deleted")


@command(app, "export")
def export(
    session: Session,
    tenant: TenantName,
    file: Annotated[Path, typer.Argument(help="Where to; replaced when all went well.")],
    suspend: Annotated[
        bool, typer.Option("--suspend", help="Suspend an active tenant meanwhile.")
    ] = False,
) -> None:
    """Write a tenant to a file: what is declared, who belongs to it, and its audit trail.

    The tenant has to be suspended, so that it stands still. The file holds no secret: private keys
    are in the clusters only.
    """
    with _suspended(session, tenant) if suspend else _as_it_is():
        count = _write(session, tenant, file)
    session.say(f"{tenant}: {count} records are in {file}")


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _suspended(session: Session, tenant: str) -> Iterator[None]:
    from shared.contract.tenant import TenantState

    if session.client.tenants.get(tenant).state is not TenantState.ACTIVE:
        yield
        return
    session.client.tenants.suspend(tenant, reason="export")
    try:
        yield
    finally:
        session.client.tenants.resume(tenant, reason="the export is over")


def _write(session: Session, tenant: str, file: Path) -> int:
    from arcbridge.archive import Writer
    from shared.contract.archive import ArchiveHeader

    pages = session.client.tenants.export(tenant)
    first = next(pages)
    header = ArchiveHeader(
        tenant=first.tenant,
        created_at=first.created_at,
        quotas=first.quotas,
        trail=first.trail,
        exported_at=datetime.now(UTC),
        server=session.context.server,
    )
    count = 0
    with Writer(file, header) as writer:
        for page in (first, *pages):
            if page.trail != first.trail:
                raise CommandError(
                    Exit.CONFLICT,
                    f"{tenant} changed while it was read, up to entry {page.trail.sequence} of its "
                    "audit trail: suspend it, and try again",
                )
            for record in page.items:
                writer.add(record)
            count += len(page.items)
    return count


@command(app, "import")
def import_tenant(
    session: Session,
    file: Annotated[Path, typer.Argument(help="What `export` wrote.", exists=True)],
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the file is whole; send nothing.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Let the tenant in when all is there.")
    ] = False,
) -> None:
    """Fill an empty tenant from a file, here or in another installation; it is made if need be.

    The tenant keeps its name, which its certificates and its audit trail contain. Interrupted, it
    is run again: what is there already is compared and left as it is. The tenant stays suspended
    until it is resumed. Its agents reconnect where the installation has the same CA and addresses.
    """
    from arcbridge import archive

    try:
        whole = archive.check(file)
    except archive.ArchiveError as error:
        raise CommandError(Exit.USAGE, str(error)) from error
    header = whole.header
    if check:
        session.say(
            f"{file} is whole: {header.tenant} as of {header.exported_at.isoformat()}, "
            f"{sum(whole.end.counts.values())} records"
        )
        return
    added, present = _send(session, whole)
    if resume:
        session.client.tenants.resume(header.tenant, reason="imported")
    state = "active" if resume else "suspended"
    session.say(f"{header.tenant} is {state}: {added} records put in, {present} were there")


def _send(session: Session, whole: Archive) -> tuple[int, int]:
    from shared.contract.archive import ImportBatch, ImportEnd, ImportRequest

    header, end = whole.header, whole.end
    request = ImportRequest(
        sha256=end.sha256,
        created_at=header.created_at,
        quotas=header.quotas,
        trail=header.trail,
    )
    session.client.tenants.begin_import(header.tenant, request)
    added = present = 0
    for records in _batches(whole.records()):
        batch = ImportBatch(sha256=end.sha256, records=tuple(records))
        done = session.client.tenants.import_records(header.tenant, batch)
        added, present = added + done.added, present + done.present
    session.client.tenants.finish_import(
        header.tenant, ImportEnd(sha256=end.sha256, counts=end.counts, trail=header.trail)
    )
    return added, present


def _batches(records: Iterator[ArchiveRecord]) -> Iterator[list[ArchiveRecord]]:
    """Records in their order, as many at once as one request may carry."""
    from shared.contract.limits import RECORDS_PER_IMPORT

    batch: list[ArchiveRecord] = []
    size = 0
    for record in records:
        length = len(record.model_dump_json())
        if batch and (size + length > BATCH_BYTES or len(batch) == RECORDS_PER_IMPORT):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += length
    if batch:
        yield batch
