"""Rows of clusters as the contract's models. Pure."""

from __future__ import annotations

from datetime import datetime

from shared.contract.cluster import (
    CertificateInfo,
    Cluster,
    ClusterExtension,
    ExtensionCounts,
    InventoryObject,
    InventorySummary,
)
from shared.contract.states import ConnectionState
from shared.contract.status import Condition
from shared.services.cluster_conditions import ClusterFactsNow, cluster_conditions
from shared.store.transaction import Row


def cluster_of(row: Row, now: datetime) -> Cluster:
    """A cluster out of a row of `clusters.list`."""
    certificate = None
    if row["serial"] is not None:
        certificate = CertificateInfo(serial=row["serial"], not_after=row["not_after"])
    return Cluster(
        id=row["cluster_id"],
        name=row["name"],
        tenant=row["tenant_id"],
        labels=row["labels"],
        annotations=row["annotations"],
        state=ConnectionState(row["state"]),
        kubernetes_version=row["kubernetes_version"],
        distribution=row["distribution"],
        agent_version=row["agent_version"],
        certificate=certificate,
        last_heartbeat=row["last_heartbeat"],
        not_now_until=row["not_now_until"],
        inventory=_inventory(row),
        extensions=ExtensionCounts(
            total=row["extensions"] or 0,
            ready=row["extensions_ready"] or 0,
            failed=row["extensions_failed"] or 0,
            drifted=row["extensions_drifted"] or 0,
        ),
        conditions=cluster_conditions(facts_of(row), now),
        created_at=row["created_at"],
        etag=str(row["version"]),
    )


def facts_of(row: Row) -> ClusterFactsNow:
    """What the conditions are computed from."""
    noted = {
        f"{entry['type']}/{entry['status']}": datetime.fromisoformat(entry["since"])
        for entry in row["conditions"]
    }
    return ClusterFactsNow(
        state=ConnectionState(row["state"]),
        state_since=row["state_since"],
        created_at=row["created_at"],
        last_heartbeat=row["last_heartbeat"],
        clock_skew_ms=row["clock_skew_ms"],
        not_before=row["not_before"],
        not_after=row["not_after"],
        failed=row["extensions_failed"] or 0,
        takeovers=row["takeovers"] or 0,
        last_takeover_at=row["last_takeover_at"],
        noted=noted,
    )


def _inventory(row: Row) -> InventorySummary:
    if row["inventory"] is None:
        return InventorySummary()
    summary = InventorySummary.model_validate(row["inventory"])
    return summary.model_copy(update={"reported_at": row["inventory_at"]})


def extension_of(row: Row) -> ClusterExtension:
    """One extension on one cluster."""
    return ClusterExtension(
        cluster_id=row["cluster_id"],
        cluster=row["cluster"],
        extension=row["extension"],
        desired_revision=0 if row["absent"] else row["revision"],
        spec_digest=row["spec_digest"],
        generation=row["generation"],
        rollout_id=row["rollout_id"],
        observed_revision=row["observed_revision"],
        phase=row["phase"],
        reason=row["reason"],
        message=row["message"],
        last_good_revision=row["good_revision"],
        conditions=tuple(Condition.model_validate(entry) for entry in row["conditions"]),
        reported_at=row["reported_at"],
    )


def object_of(row: Row) -> InventoryObject:
    """One thing of a cluster's inventory."""
    return InventoryObject(
        kind=row["kind"],
        namespace=row["namespace"] or None,
        name=row["name"],
        data=row["data"],
    )
