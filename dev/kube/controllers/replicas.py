"""ReplicaSets and ReplicationControllers: keep as many pods as asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.kube.controllers.common import (
    MANAGER,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    available,
    children,
    deleting,
    is_true,
    pod_from_template,
)
from dev.kube.resources import ObjectKey, StorageKey
from dev.kube.store import Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster


def reconcile_replica_set(cluster: Cluster, key: ObjectKey) -> None:
    """Bring one ReplicaSet to its number of pods."""
    _reconcile(cluster, REPLICA_SETS, key)


def reconcile_replication_controller(cluster: Cluster, key: ObjectKey) -> None:
    """Bring one ReplicationController to its number of pods."""
    _reconcile(cluster, REPLICATION_CONTROLLERS, key)


def _reconcile(cluster: Cluster, storage: StorageKey, key: ObjectKey) -> None:
    record = cluster.get(storage, key)
    if record is None:
        return
    pods = [pod for pod in children(cluster, PODS, record.obj) if not _ended(pod)]
    living = [pod for pod in pods if not deleting(pod.obj)]
    if not deleting(record.obj):
        _adjust(cluster, record, living)
    record = cluster.get(storage, key)
    if record is not None:
        _report(cluster, storage, key, record)


def _ended(pod: Record) -> bool:
    return (pod.obj.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def _adjust(cluster: Cluster, record: Record, living: list[Record]) -> None:
    owner, spec = record.obj, record.obj["spec"]
    missing = spec["replicas"] - len(living)
    for _ in range(missing):
        name = f"{owner['metadata']['name']}-"
        new = pod_from_template(owner, spec["template"], generateName=name)
        cluster.create(PODS, new, MANAGER)
    if missing < 0:
        by_worth = sorted(living, key=lambda pod: (is_true(pod.obj, "Ready"), -pod.version))
        for pod in by_worth[:-missing]:
            cluster.delete(PODS, pod.key)


def _report(cluster: Cluster, storage: StorageKey, key: ObjectKey, record: Record) -> None:
    pods = [
        pod.obj
        for pod in children(cluster, PODS, record.obj)
        if not _ended(pod) and not deleting(pod.obj)
    ]
    wait = record.obj["spec"].get("minReadySeconds") or 0
    ready = sum(is_true(pod, "Ready") for pod in pods)
    up = sum(available(pod, wait, cluster.time()) for pod in pods)
    if up < ready:
        reconcile = (
            reconcile_replica_set if storage == REPLICA_SETS else reconcile_replication_controller
        )
        cluster.hub.add_after(1.0, reconcile, key)
    counts = {
        "replicas": len(pods),
        "fullyLabeledReplicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": up,
    }
    status = {name: count for name, count in counts.items() if count or name == "replicas"}
    status["observedGeneration"] = record.obj["metadata"]["generation"]
    cluster.set_status(storage, record, status, MANAGER)
