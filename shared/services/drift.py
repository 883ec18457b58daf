"""Drift: what differs where, to be set right once or declared right for a while."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from shared.contract.base import Name, WireModel
from shared.contract.cluster import Drift, DriftAccept, DriftAction
from shared.contract.desired import AcceptedDrift
from shared.contract.errors import ErrorCode, FieldError
from shared.contract.extension import DriftTarget
from shared.contract.page import Page
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import DriftKind
from shared.contract.status import Difference
from shared.domain.errors import ArcBridgeError
from shared.services import audit, cursors
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.services.desired import StoredAcceptance
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("drift")

MAX_ACCEPTED = 200
"""Per extension and cluster: each one travels in every desired document."""


class DriftFilter(WireModel):
    """Which open drifts to show; absent fields match anything."""

    cluster: Name | None = None
    extension: Name | None = None
    kind: DriftKind | None = None


async def list_drifts(
    cp: ControlPlane,
    caller: Caller,
    *,
    chosen: DriftFilter | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[Drift]:
    """A page of the tenant's open drifts, oldest first."""
    size = cursors.page_size(limit)
    after_since, after_id = cursors.decode_moment(cursor)
    chosen = chosen or DriftFilter()
    async with cp.db.tenant(caller.tenant) as tx:
        rows = await tx.all(
            _Q.list,
            tenant=caller.tenant,
            id=None,
            cluster=chosen.cluster,
            extension=chosen.extension,
            kind=chosen.kind,
            after_since=after_since,
            after_id=after_id,
            limit=size + 1,
        )
    return cursors.page(
        Page[Drift],
        rows,
        size,
        _drift,
        lambda row: cursors.encode(row["since"].isoformat(), str(row["drift_id"])),
    )


async def correct(cp: ControlPlane, caller: Caller, drift_id: UUID, action: DriftAction) -> Drift:
    """Have the agent set the drift right once, whatever the extension's mode. Again: no change."""
    async with cp.db.tenant(caller.tenant) as tx:
        drift = await _take(tx, caller, drift_id)
        if drift.correcting:
            return drift
        place = {
            "tenant": caller.tenant,
            "cluster_id": drift.cluster_id,
            "extension": drift.extension,
        }
        correction = await tx.value(_Q.ask_correction, **place)
        if correction is None:
            raise _gone(drift)
        await tx.execute(_Q.mark_correcting, tenant=caller.tenant, id=drift_id)
        await _wake(tx, caller, drift)
        await audit.append(
            tx,
            caller,
            "drift.correct",
            f"cluster/{drift.cluster}",
            message=action.reason or "",
            data={"extension": drift.extension, "drift": str(drift_id), "correction": correction},
        )
    return drift.model_copy(update={"correcting": True, "waiting_for": None})


async def accept(cp: ControlPlane, caller: Caller, drift_id: UUID, how: DriftAccept) -> Drift:
    """Declare the differences right until a time. The drift closes with the agent's next check."""
    now = cp.clock()
    if how.expires_at <= now:
        why = "it must lie in the future"
        raise ArcBridgeError(
            ErrorCode.INVALID_REQUEST,
            f"expiresAt cannot be used: {why}",
            errors=(FieldError(field="expiresAt", message=why),),
        )
    async with cp.db.tenant(caller.tenant) as tx:
        drift = await _take(tx, caller, drift_id)
        place = {
            "tenant": caller.tenant,
            "cluster_id": drift.cluster_id,
            "extension": drift.extension,
        }
        stored = await tx.one(_Q.lock_acceptances, **place)
        if stored is None:
            raise _gone(drift)
        new = [_acceptance(found, how, caller, now) for found in drift.differences]
        kept = _merged(stored["accepted_drift"], new, now)
        await tx.execute(_Q.accept, **place, accepted=jsonb([each.to_wire() for each in kept]))
        await _wake(tx, caller, drift)
        await audit.append(
            tx,
            caller,
            "drift.accept",
            f"cluster/{drift.cluster}",
            message=how.reason,
            data={
                "extension": drift.extension,
                "drift": str(drift_id),
                "expiresAt": how.expires_at.isoformat(),
                "paths": [f"{f.object_kind}/{f.name}{f.path}" for f in drift.differences],
            },
        )
    return drift


async def _take(tx: Transaction, caller: Caller, drift_id: UUID) -> Drift:
    """An open drift of live objects, locked. The other kinds end by the agent's own doing."""
    await tx.one(_Q.lock_assignment, tenant=caller.tenant, id=drift_id)
    locked = await tx.one(_Q.lock, tenant=caller.tenant, id=drift_id)
    row = locked and await tx.one(
        _Q.list, tenant=caller.tenant, id=drift_id, cluster=None, extension=None, kind=None,
        after_since=None, after_id=None, limit=1,
    )  # fmt: skip
    if row is None:
        raise ArcBridgeError(ErrorCode.NOT_FOUND, "there is no such open drift")
    drift = _drift(row)
    if drift.kind is not DriftKind.MANIFEST:
        raise ArcBridgeError(
            ErrorCode.CONFLICT,
            f"a drift of kind {drift.kind} has no differences to set right or accept",
        )
    return drift


async def _wake(tx: Transaction, caller: Caller, drift: Drift) -> None:
    await tx.execute(
        _Q.wake,
        tenant=caller.tenant,
        cluster_id=drift.cluster_id,
        traceparent=caller.traceparent,
    )


def _acceptance(
    found: Difference, how: DriftAccept, caller: Caller, now: datetime
) -> StoredAcceptance:
    group, slash, _ = found.api_version.partition("/")
    return StoredAcceptance(
        accepted=AcceptedDrift(
            target=DriftTarget(
                group=group if slash else "",
                kind=found.object_kind,
                name=found.name,
                namespace=found.namespace,
            ),
            path=found.path,
            observed=found.observed,
            expires_at=how.expires_at,
        ),
        reason=how.reason,
        accepted_by=caller.actor,
        accepted_at=now,
    )


def _merged(
    stored: list[dict[str, Any]], new: list[StoredAcceptance], now: datetime
) -> list[StoredAcceptance]:
    """New ones replace those for the same field; those that have ended are dropped."""
    merged = {
        (each.accepted.target, each.accepted.path): each
        for each in [*(StoredAcceptance.model_validate(entry) for entry in stored), *new]
        if each.accepted.expires_at > now
    }
    if len(merged) > MAX_ACCEPTED:
        raise ArcBridgeError(
            ErrorCode.QUOTA_EXCEEDED,
            f"at most {MAX_ACCEPTED} differences of one extension can be accepted on a cluster:"
            " change the extension, or give it an ignore rule",
        )
    return list(merged.values())


def _drift(row: Row) -> Drift:
    return Drift(
        id=row["drift_id"],
        cluster_id=row["cluster_id"],
        cluster=row["cluster"],
        extension=row["extension"],
        kind=DriftKind(row["kind"]),
        revision=row["revision"],
        since=row["since"],
        differences=tuple(Difference.model_validate(entry) for entry in row["differences"]),
        truncated=row["truncated"],
        correcting=row["correcting"],
        waiting_for=_waiting(row["extension"], row["correction_asked_at"]),
    )


def _waiting(extension: str, asked_at: datetime | None) -> WaitingFor | None:
    if asked_at is None:
        return None
    return WaitingFor(
        reason=ReasonCode.PACED,
        message=f"to be corrected as soon as the pace of {extension} has a token for it",
        since=asked_at,
    )


def _gone(drift: Drift) -> ArcBridgeError:
    return ArcBridgeError(
        ErrorCode.CONFLICT, f"{drift.extension} is no longer wanted on {drift.cluster}"
    )
