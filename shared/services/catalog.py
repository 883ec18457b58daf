"""Reading extensions: what was declared, its history, and where it runs.

Publishing, deleting and quarantine are `publish`, `removal` and `quarantine`.
"""

from __future__ import annotations

from shared.contract.cluster import ClusterExtension
from shared.contract.errors import ErrorCode
from shared.contract.extension import ExtensionSpec
from shared.contract.page import Page
from shared.contract.rollout import ClusterTally, Extension, Revision
from shared.contract.states import RevisionState
from shared.domain.errors import ArcBridgeError
from shared.services import cursors
from shared.services.caller import Caller
from shared.services.cluster_view import extension_of
from shared.services.control_plane import ControlPlane
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("catalog")


async def list_extensions(
    cp: ControlPlane,
    caller: Caller,
    *,
    text: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[Extension]:
    """A page of the tenant's extensions by name, without their specs. `text`: part of the name."""
    size = cursors.page_size(limit)
    after = cursors.decode_one(cursor, str)
    async with cp.db.tenant(caller.tenant) as tx:
        rows = await tx.all(
            _Q.list,
            tenant=caller.tenant,
            name=None,
            text=text,
            after=after,
            limit=size + 1,
        )
    return cursors.page(
        Page[Extension], rows, size, _extension, lambda row: cursors.encode(row["name"])
    )


async def get(cp: ControlPlane, caller: Caller, name: str) -> Extension:
    """One extension with its newest spec. Raises NotFound."""
    async with cp.db.tenant(caller.tenant) as tx:
        row = await _read(tx, caller, name)
        spec = await _spec(tx, caller, name, row["newest"])
    return _extension(row).model_copy(update={"spec": spec})


async def revisions(
    cp: ControlPlane,
    caller: Caller,
    name: str,
    *,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[Revision]:
    """A page of the extension's history, newest first, without the specs."""
    size = cursors.page_size(limit)
    after = cursors.decode_one(cursor, int)
    async with cp.db.tenant(caller.tenant) as tx:
        rows = await tx.all(
            _Q.revisions,
            tenant=caller.tenant,
            extension=name,
            number=None,
            before=after,
            limit=size + 1,
        )
    # History outlives the extension, so what decides is whether there is any.
    if not rows and after is None:
        raise _unknown(name)
    return cursors.page(
        Page[Revision], rows, size, _revision, lambda row: cursors.encode(row["number"])
    )


async def revision(cp: ControlPlane, caller: Caller, name: str, number: int) -> Revision:
    """One revision with its spec. Raises NotFound."""
    async with cp.db.tenant(caller.tenant) as tx:
        row = await tx.one(
            _Q.revisions,
            tenant=caller.tenant,
            extension=name,
            number=number,
            before=None,
            limit=1,
        )
        if row is None:
            raise ArcBridgeError(ErrorCode.NOT_FOUND, f"{name} has no revision {number}")
        spec = await _spec(tx, caller, name, number)
    return _revision(row).model_copy(update={"spec": spec})


async def clusters(
    cp: ControlPlane,
    caller: Caller,
    name: str,
    *,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[ClusterExtension]:
    """A page of the clusters that the extension was released to, by name."""
    size = cursors.page_size(limit)
    after = cursors.decode_one(cursor, str)
    async with cp.db.tenant(caller.tenant) as tx:
        await _read(tx, caller, name)
        rows = await tx.all(
            _Q.clusters,
            tenant=caller.tenant,
            extension=name,
            after=after,
            limit=size + 1,
        )
    return cursors.page(
        Page[ClusterExtension],
        rows,
        size,
        extension_of,
        lambda row: cursors.encode(row["cluster"]),
    )


async def _read(tx: Transaction, caller: Caller, name: str) -> Row:
    row = await tx.one(_Q.list, tenant=caller.tenant, name=name, text=None, after=None, limit=1)
    if row is None:
        raise _unknown(name)
    return row


async def _spec(tx: Transaction, caller: Caller, name: str, number: int) -> ExtensionSpec:
    stored = await tx.value(_Q.spec, tenant=caller.tenant, extension=name, number=number)
    return ExtensionSpec.model_validate(stored)


def _extension(row: Row) -> Extension:
    return Extension(
        name=row["name"],
        labels=row["labels"],
        revision=row["newest"],
        last_good_revision=row["good"],
        deleting=row["deleting"],
        clusters=ClusterTally(
            desired=row["desired"],
            ready=row["ready"],
            failed=row["failed"],
            applying=row["applying"],
            drifted=row["drifted"],
        ),
        active_rollout=row["rollout_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        etag=str(row["version"]),
    )


def _revision(row: Row) -> Revision:
    return Revision(
        extension=row["extension"],
        number=row["number"],
        digest=row["digest"],
        state=RevisionState(row["state"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        reason=row["reason"],
        provenance=row["provenance"],
        quarantine_reason=row["quarantine_reason"],
    )


def _unknown(name: str) -> ArcBridgeError:
    return ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no extension named {name}")
