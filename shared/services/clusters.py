"""Clusters as resources: list, read, label, revoke, deregister."""

from __future__ import annotations

from typing import Any

from shared.contract.base import WireModel
from shared.contract.cluster import Cluster, ClusterExtension, ClusterPatch, InventoryObject
from shared.contract.errors import ErrorCode, FieldError
from shared.contract.events import Event
from shared.contract.page import Page
from shared.contract.placement import LabelSelector
from shared.contract.states import ConnectionState
from shared.domain.errors import ArcBridgeError
from shared.services import audit, certificates, cursors, events, placement, selectors
from shared.services.caller import Caller
from shared.services.cluster_view import cluster_of, extension_of, object_of
from shared.services.control_plane import ControlPlane
from shared.services.events import EventFilter
from shared.services.preconditions import check_version
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("clusters")

MAX_LABELS = 64


class ClusterFilter(WireModel):
    """Which clusters to show; absent fields match anything."""

    labels: LabelSelector = LabelSelector()
    state: ConnectionState | None = None
    """Deregistered clusters are shown with this filter only."""
    text: str | None = None
    """Part of the name, the distribution or the Kubernetes version."""


async def list_clusters(
    cp: ControlPlane,
    caller: Caller,
    *,
    chosen: ClusterFilter | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[Cluster]:
    """A page of the tenant's clusters by name."""
    size = cursors.page_size(limit)
    after = cursors.decode(cursor, str, str)
    chosen = chosen or ClusterFilter()
    async with cp.db.tenant(caller.tenant) as tx:
        rows = await tx.all(
            _Q.list,
            tenant=caller.tenant,
            requirements=jsonb(selectors.parameters(chosen.labels)),
            state=chosen.state,
            text=chosen.text,
            after_name=after[0] if after else None,
            after_id=after[1] if after else None,
            limit=size + 1,
        )
    now = cp.clock()
    return cursors.page(
        Page[Cluster],
        rows,
        size,
        lambda row: cluster_of(row, now),
        lambda row: cursors.encode(row["name"], str(row["cluster_id"])),
    )


async def get(cp: ControlPlane, caller: Caller, name: str) -> Cluster:
    """One cluster. Raises NotFound."""
    async with cp.db.tenant(caller.tenant) as tx:
        return cluster_of(await _read(tx, caller, name), cp.clock())


async def patch(
    cp: ControlPlane, caller: Caller, name: str, change: ClusterPatch, *, if_match: str | None
) -> Cluster:
    """Merge labels and annotations (RFC 7396). Raises PreconditionFailed when the cluster is not at
    the version of `if_match`; None means any."""
    async with cp.db.tenant(caller.tenant) as tx:
        before = await _lock(tx, caller, name, if_match)
        labels = _merged(before["labels"], change.labels, "labels")
        annotations = _merged(before["annotations"], change.annotations, "annotations")
        if (labels, annotations) != (before["labels"], before["annotations"]):
            await tx.execute(
                _Q.change,
                tenant=caller.tenant,
                cluster_id=before["cluster_id"],
                labels=jsonb(labels),
                annotations=jsonb(annotations),
            )
            if labels != before["labels"]:
                await placement.reconsider(tx, caller.tenant, before["cluster_id"])
            await audit.append(
                tx,
                caller,
                "cluster.label",
                f"cluster/{name}",
                message=change.reason or "",
                data={
                    "before": {"labels": before["labels"], "annotations": before["annotations"]},
                    "after": {"labels": labels, "annotations": annotations},
                },
            )
        return cluster_of(await _read(tx, caller, name), cp.clock())


async def delete(
    cp: ControlPlane, caller: Caller, name: str, *, if_match: str | None, reason: str | None = None
) -> None:
    """Deregister: the certificates are revoked and rollouts leave the cluster out.

    What runs there stays: the agent may no longer ask, and absence is never deletion.
    """
    now = cp.clock()
    async with cp.db.tenant(caller.tenant) as tx:
        cluster_id = (await _lock(tx, caller, name, if_match))["cluster_id"]
        serials = await certificates.revoke(tx, caller, cluster_id, now)
        await tx.execute(_Q.deregister, tenant=caller.tenant, cluster_id=cluster_id, now=now)
        await tx.execute(_Q.close_drifts, tenant=caller.tenant, cluster_id=cluster_id, now=now)
        await placement.forget(tx, caller.tenant, cluster_id)
        await audit.append(
            tx,
            caller,
            "cluster.deregister",
            f"cluster/{name}",
            message=reason or "",
            data={"clusterId": str(cluster_id), "revoked": list(serials)},
        )


async def revoke(
    cp: ControlPlane, caller: Caller, name: str, *, reason: str | None = None
) -> Cluster:
    """Revoke the cluster's certificates; an open stream ends within 5 s. It stays registered and
    returns under the same identity with a bootstrap token bound to its name."""
    async with cp.db.tenant(caller.tenant) as tx:
        cluster_id = (await _lock_any(tx, caller, name))["cluster_id"]
        serials = await certificates.revoke(tx, caller, cluster_id, cp.clock())
        await placement.forget(tx, caller.tenant, cluster_id)
        await audit.append(
            tx,
            caller,
            "cluster.revoke",
            f"cluster/{name}",
            message=reason or "",
            data={"clusterId": str(cluster_id), "revoked": list(serials)},
        )
        return cluster_of(await _read(tx, caller, name), cp.clock())


async def inventory(
    cp: ControlPlane,
    caller: Caller,
    name: str,
    *,
    kind: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[InventoryObject]:
    """A page of what the cluster consists of, by kind, namespace and name."""
    size = cursors.page_size(limit)
    after = cursors.decode(cursor, str, str, str)
    async with cp.db.tenant(caller.tenant) as tx:
        cluster = await _read(tx, caller, name)
        rows = await tx.all(
            _Q.inventory,
            tenant=caller.tenant,
            cluster_id=cluster["cluster_id"],
            kind=kind,
            after_kind=after[0] if after else None,
            after_namespace=after[1] if after else None,
            after_name=after[2] if after else None,
            limit=size + 1,
        )
    return cursors.page(
        Page[InventoryObject],
        rows,
        size,
        object_of,
        lambda row: cursors.encode(row["kind"], row["namespace"], row["name"]),
    )


async def extensions(
    cp: ControlPlane,
    caller: Caller,
    name: str,
    *,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[ClusterExtension]:
    """A page of the extensions on one cluster, by name."""
    size = cursors.page_size(limit)
    after = cursors.decode_one(cursor, str)
    async with cp.db.tenant(caller.tenant) as tx:
        await _read(tx, caller, name)
        rows = await tx.all(
            _Q.extensions,
            tenant=caller.tenant,
            name=name,
            after=after,
            limit=size + 1,
        )
    return cursors.page(
        Page[ClusterExtension],
        rows,
        size,
        extension_of,
        lambda row: cursors.encode(row["extension"]),
    )


async def cluster_events(
    cp: ControlPlane,
    caller: Caller,
    name: str,
    *,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[Event]:
    """A page of the audit entries about one cluster, newest first."""
    async with cp.db.tenant(caller.tenant) as tx:
        await _read(tx, caller, name)
    chosen = EventFilter(subject=f"cluster/{name}")
    return await events.list_events(cp, caller, chosen=chosen, cursor=cursor, limit=limit)


async def _read(tx: Transaction, caller: Caller, name: str) -> Row:
    row = await tx.one(_Q.get, tenant=caller.tenant, name=name)
    if row is None:
        raise _unknown(name)
    return row


async def _lock_any(tx: Transaction, caller: Caller, name: str) -> Row:
    row = await tx.one(_Q.lock, tenant=caller.tenant, name=name)
    if row is None:
        raise _unknown(name)
    return row


async def _lock(tx: Transaction, caller: Caller, name: str, if_match: str | None) -> Row:
    row = await _lock_any(tx, caller, name)
    check_version(if_match, row["version"])
    return row


def _merged(before: dict[str, str], change: dict[str, Any], field: str) -> dict[str, str]:
    """RFC 7396 on one flat object: null removes a key."""
    merged = before | change
    kept: dict[str, str] = {key: value for key, value in merged.items() if value is not None}
    if len(kept) > MAX_LABELS:
        why = f"a cluster has at most {MAX_LABELS} {field}"
        raise ArcBridgeError(
            ErrorCode.INVALID_REQUEST, why, errors=(FieldError(field=field, message=why),)
        )
    return kept


def _unknown(name: str) -> ArcBridgeError:
    return ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no cluster named {name}")
