"""The desired document of one cluster: complete, hashed, and cheap to ask for again.

The digest needs no specs (they enter it through their own digests), so that the usual answer to a
poll, "nothing changed", costs one small query.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.contract.base import Timestamp, WireModel
from shared.contract.desired import (
    AcceptedDrift,
    DesiredDocument,
    DesiredExtension,
    DesiredState,
    document_digest,
)
from shared.contract.errors import ErrorCode
from shared.contract.extension import ResolvedSpec
from shared.domain.errors import ArcBridgeError
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("desired")


class StoredAcceptance(WireModel):
    """One accepted difference, as an assignment keeps it."""

    accepted: AcceptedDrift
    reason: str
    accepted_by: str
    accepted_at: Timestamp


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The caller holds the document already."""

    digest: str


async def newer(
    cp: ControlPlane, caller: Caller, known: Collection[str]
) -> DesiredDocument | Unchanged:
    """The caller's document with the control plane's signature, as agents want it; unless its
    digest is one of `known`.

    One transaction either way: a fleet that is woken at once asks all at once.
    """
    tenant, cluster_id = _cluster(caller)
    async with cp.db.tenant(tenant) as tx:
        if known:
            rows = await tx.all(_Q.outline, tenant=tenant, cluster_id=cluster_id)
            digest = _digest(tenant, cluster_id, rows, cp.clock())
            if digest in known:
                return Unchanged(digest)
        found, moment = await _read(tx, tenant, cluster_id, cp.clock)
    return await cp.documents.sign(found, moment)


async def document(cp: ControlPlane, caller: Caller) -> DesiredDocument:
    """Everything that the caller's cluster should run."""
    tenant, cluster_id = _cluster(caller)
    async with cp.db.tenant(tenant) as tx:
        found, _ = await _read(tx, tenant, cluster_id, cp.clock)
    return found


def _digest(tenant: str, cluster_id: UUID, rows: Sequence[Row], now: datetime) -> str:
    outline = tuple(DesiredExtension.model_construct(**_fields(row, now)) for row in rows)
    return document_digest(tenant, cluster_id, outline)


async def _read(
    tx: Transaction, tenant: str, cluster_id: UUID, clock: Callable[[], datetime]
) -> tuple[DesiredDocument, datetime]:
    """The document, and a moment from which on nothing of it was older."""
    # First: what is read after it is as new, and one clock orders all documents.
    moment = await tx.value(_Q.moment)
    rows = await tx.all(_Q.outline, tenant=tenant, cluster_id=cluster_id)
    digests = list({row["spec_digest"] for row in rows if not row["absent"]})
    specs = await tx.all(_Q.specs, tenant=tenant, digests=digests)
    by_digest = {row["digest"]: ResolvedSpec.model_validate(row["spec"]) for row in specs}
    now = clock()
    extensions = tuple(
        DesiredExtension(
            **_fields(row, now), spec=None if row["absent"] else by_digest[row["spec_digest"]]
        )
        for row in rows
    )
    return DesiredDocument.build(tenant, cluster_id, extensions), moment


def _fields(row: Row, now: datetime) -> dict[str, Any]:
    stored = (StoredAcceptance.model_validate(entry) for entry in row["accepted_drift"])
    return {
        "name": row["extension"],
        "state": DesiredState.ABSENT if row["absent"] else DesiredState.PRESENT,
        "revision": row["revision"],
        "spec_digest": row["spec_digest"],
        "generation": row["generation"],
        "rollout_id": row["rollout_id"],
        "correction": row["correction"],
        "accepted_drift": tuple(s.accepted for s in stored if s.accepted.expires_at > now),
        "traceparent": row["traceparent"],
    }


def _cluster(caller: Caller) -> tuple[str, UUID]:
    if caller.cluster_id is None:
        raise ArcBridgeError(ErrorCode.FORBIDDEN, "only an agent has a desired document")
    return caller.tenant, caller.cluster_id
