"""Deployments: a ReplicaSet per pod template, rolled from the old to the new."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from dev.kube.controllers.common import (
    DEPLOYMENTS,
    MANAGER,
    PODS,
    REPLICA_SETS,
    children,
    condition,
    deleting,
    owner_reference,
    scaled,
    template_hash,
    with_condition,
)
from dev.kube.resources import ObjectKey
from dev.kube.schema import Json
from dev.kube.store import Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

REVISION: Final = "deployment.kubernetes.io/revision"
HASH_LABEL: Final = "pod-template-hash"


def reconcile_deployment(cluster: Cluster, key: ObjectKey) -> None:
    """Move one Deployment a step on."""
    record = cluster.get(DEPLOYMENTS, key)
    if record is None or deleting(record.obj):
        return
    sets = children(cluster, REPLICA_SETS, record.obj)
    wanted = template_hash(record.obj["spec"]["template"])
    if not record.obj["spec"].get("paused"):
        current = _current(cluster, record, sets, wanted)
        if current is not None:
            _roll(cluster, record.obj, current, [item for item in sets if item.key != current.key])
            _prune_history(cluster, record.obj, current)
    record = cluster.get(DEPLOYMENTS, key)
    if record is not None:
        _report(cluster, key, record, wanted)


def _hash_of(replica_set: Record) -> str:
    labels = replica_set.obj["metadata"].get("labels") or {}
    return str(labels.get(HASH_LABEL, ""))


def _revision(obj: Json) -> int:
    return int((obj["metadata"].get("annotations") or {}).get(REVISION, 0))


def _current(cluster: Cluster, record: Record, sets: list[Record], wanted: str) -> Record | None:
    """The ReplicaSet of the present template, made or renumbered if needed."""
    newest = max((_revision(item.obj) for item in sets), default=0)
    current = next((item for item in sets if _hash_of(item) == wanted), None)
    if current is None:
        current = cluster.create(
            REPLICA_SETS, _replica_set(record.obj, wanted, newest + 1), MANAGER
        )
    elif _revision(current.obj) < newest:
        current = _annotate(cluster, REPLICA_SETS, current, str(newest + 1))
    if current is not None and _revision(record.obj) != _revision(current.obj):
        _annotate(cluster, DEPLOYMENTS, record, str(_revision(current.obj)))
    return current


def _annotate(cluster: Cluster, storage: tuple[str, str], record: Record, revision: str) -> Record:
    metadata = dict(record.obj["metadata"])
    metadata["annotations"] = {**(metadata.get("annotations") or {}), REVISION: revision}
    # The real controller writes its annotations along with the status.
    new = {**record.obj, "metadata": metadata}
    return cluster.rewrite(storage, record, new, MANAGER, "status")


def _replica_set(deployment: Json, wanted: str, revision: int) -> Json:
    spec, metadata = deployment["spec"], deployment["metadata"]
    template = spec["template"]
    inner = template.get("metadata") or {}
    labels = {**(inner.get("labels") or {}), HASH_LABEL: wanted}
    selector = dict(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: wanted}
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if key != "kubectl.kubernetes.io/last-applied-configuration"
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name'][:240]}-{wanted}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {**annotations, REVISION: str(revision)},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "selector": selector,
            "template": {**template, "metadata": {**inner, "labels": labels}},
        },
    }


def _scale(cluster: Cluster, record: Record, replicas: int) -> int:
    """Set a ReplicaSet's size; returns by how much it changed."""
    fresh = cluster.get(REPLICA_SETS, record.key)
    if fresh is None or fresh.obj["spec"]["replicas"] == replicas:
        return 0
    metadata = {**fresh.obj["metadata"], "generation": fresh.obj["metadata"]["generation"] + 1}
    new = {
        **fresh.obj,
        "metadata": metadata,
        "spec": {**fresh.obj["spec"], "replicas": replicas},
    }
    cluster.rewrite(REPLICA_SETS, fresh, new, MANAGER)
    return abs(replicas - int(fresh.obj["spec"]["replicas"]))


def _size(record: Record) -> int:
    return int(record.obj["spec"]["replicas"])


def _available(record: Record) -> int:
    return int((record.obj.get("status") or {}).get("availableReplicas", 0))


def _roll(cluster: Cluster, deployment: Json, current: Record, old: list[Record]) -> None:
    spec = deployment["spec"]
    if spec["strategy"]["type"] == "Recreate":
        for item in old:
            _scale(cluster, item, 0)
        if not any(children(cluster, PODS, item.obj) for item in old):
            _scale(cluster, current, spec["replicas"])
        return
    if not any(_size(item) for item in old):
        _scale(cluster, current, spec["replicas"])
        return
    rolling, wanted = spec["strategy"].get("rollingUpdate") or {}, spec["replicas"]
    surge = scaled(rolling.get("maxSurge"), wanted, up=True)
    missing = scaled(rolling.get("maxUnavailable"), wanted, up=False)
    if not surge and not missing:
        missing = 1
    total = _size(current) + sum(_size(item) for item in old)
    if _size(current) > wanted:
        _scale(cluster, current, wanted)
    elif _size(current) < wanted and total < wanted + surge:
        grow = min(wanted - _size(current), wanted + surge - total)
        _scale(cluster, current, _size(current) + grow)
        current = cluster.get(REPLICA_SETS, current.key) or current
    _scale_down(cluster, current, old, wanted - missing)


def _scale_down(cluster: Cluster, current: Record, old: list[Record], least: int) -> None:
    """Take pods from the old sets: the unready first, then as many as availability allows."""
    total = _size(current) + sum(_size(item) for item in old)
    spare = total - least - (_size(current) - _available(current))
    for item in old:
        unready = _size(item) - min(_available(item), _size(item))
        cut = max(min(spare, unready), 0)
        spare -= _scale(cluster, item, _size(item) - cut)
    up = _available(current) + sum(min(_available(item), _size(item)) for item in old)
    excess = up - least
    for item in old:
        fresh = cluster.get(REPLICA_SETS, item.key) or item
        cut = max(min(excess, _size(fresh), spare), 0)
        done = _scale(cluster, fresh, _size(fresh) - cut)
        excess, spare = excess - done, spare - done


def _prune_history(cluster: Cluster, deployment: Json, current: Record) -> None:
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    idle = [
        item
        for item in children(cluster, REPLICA_SETS, deployment)
        if item.key != current.key
        and not _size(item)
        and not (item.obj.get("status") or {}).get("replicas")
    ]
    idle.sort(key=lambda item: _revision(item.obj))
    for item in idle[: max(len(idle) - limit, 0)]:
        cluster.delete(REPLICA_SETS, item.key)


def _report(cluster: Cluster, key: ObjectKey, record: Record, wanted: str) -> None:
    deployment = record.obj
    sets = children(cluster, REPLICA_SETS, deployment)
    current = next((item for item in sets if _hash_of(item) == wanted), None)
    old = deployment.get("status") or {}
    status = _counts(deployment, sets, current)
    status["observedGeneration"] = deployment["metadata"]["generation"]
    now, spec = cluster.now(), deployment["spec"]
    rolling = (spec["strategy"].get("rollingUpdate") or {}) if "strategy" in spec else {}
    least = spec["replicas"] - scaled(rolling.get("maxUnavailable"), spec["replicas"], up=False)
    enough = status.get("availableReplicas", 0) >= least
    conditions = with_condition(
        old.get("conditions"),
        "Available",
        "True" if enough else "False",
        "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        f"Deployment {'has' if enough else 'does not have'} minimum availability.",
        now,
        updated=True,
    )
    status["conditions"] = _progress(cluster, key, deployment, status, current, conditions)
    cluster.set_status(DEPLOYMENTS, record, status, MANAGER)


def _counts(deployment: Json, sets: list[Record], current: Record | None) -> Json:
    def total(field: str) -> int:
        return sum(int((item.obj.get("status") or {}).get(field, 0)) for item in sets)

    updated = int((current.obj.get("status") or {}).get("replicas", 0)) if current else 0
    counts = {
        "replicas": total("replicas"),
        "updatedReplicas": updated,
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": total("availableReplicas"),
        "unavailableReplicas": max(
            max(deployment["spec"]["replicas"], total("replicas")) - total("availableReplicas"), 0
        ),
    }
    return {name: count for name, count in counts.items() if count}


def is_complete(deployment: Json, status: Json) -> bool:
    """Every replica is updated and available, and no old one is left."""
    wanted = deployment["spec"]["replicas"]
    counts = [status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas")]
    return all(count == wanted for count in counts)


def _progress(
    cluster: Cluster,
    key: ObjectKey,
    deployment: Json,
    status: Json,
    current: Record | None,
    conditions: list[Json],
) -> list[Json]:
    name = current.key[1] if current else ""
    before = condition({"conditions": conditions}, "Progressing")
    now = cluster.now()
    if deployment["spec"].get("paused"):
        text = "Deployment is paused"
        return with_condition(
            conditions, "Progressing", "Unknown", "DeploymentPaused", text, now, updated=True
        )
    if is_complete(deployment, status):
        text = f'ReplicaSet "{name}" has successfully progressed.'
        return with_condition(
            conditions, "Progressing", "True", "NewReplicaSetAvailable", text, now, updated=True
        )
    progressed = before is None or _moved(deployment.get("status") or {}, status)
    fresh_template = before is not None and name and f'"{name}"' not in before["message"]
    if not progressed and not fresh_template and before is not None:
        return _deadline(cluster, key, deployment, before, conditions, name)
    deadline = deployment["spec"]["progressDeadlineSeconds"]
    cluster.hub.add_after(deadline + 1.0, reconcile_deployment, key)
    reason = "NewReplicaSetCreated" if before is None else "ReplicaSetUpdated"
    verb = "Created new replica set" if before is None else "ReplicaSet"
    text = f'{verb} "{name}"' + ("" if before is None else " is progressing.")
    kept = [item for item in conditions if item["type"] != "Progressing"]
    renewed = with_condition(kept, "Progressing", "True", reason, text, now, updated=True)
    if before is not None and before["status"] == "True":
        renewed[-1]["lastTransitionTime"] = before["lastTransitionTime"]
    return renewed


def _moved(before: Json, after: Json) -> bool:
    """Did the rollout get on: more updated, more available, or fewer old replicas?"""
    old_left = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    new_left = after.get("replicas", 0) - after.get("updatedReplicas", 0)
    return bool(
        after.get("updatedReplicas", 0) > before.get("updatedReplicas", 0)
        or after.get("availableReplicas", 0) > before.get("availableReplicas", 0)
        or after.get("readyReplicas", 0) > before.get("readyReplicas", 0)
        or new_left < old_left
    )


def _deadline(
    cluster: Cluster,
    key: ObjectKey,
    deployment: Json,
    before: Json,
    conditions: list[Json],
    name: str,
) -> list[Json]:
    """No progress: keep the condition, or give up once the deadline has passed."""
    if before["reason"] == "NewReplicaSetAvailable" or before["status"] == "False":
        return conditions
    since = datetime.fromisoformat(before["lastUpdateTime"].replace("Z", "+00:00"))
    left = deployment["spec"]["progressDeadlineSeconds"] - (cluster.time() - since).total_seconds()
    if left > 0:
        cluster.hub.add_after(left + 0.1, reconcile_deployment, key)
        return conditions
    return with_condition(
        conditions,
        "Progressing",
        "False",
        "ProgressDeadlineExceeded",
        f'ReplicaSet "{name}" has timed out progressing.',
        cluster.now(),
        updated=True,
    )
