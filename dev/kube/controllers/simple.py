"""Kinds whose controller only has to say that all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dev.kube.controllers.common import MANAGER, PODS, deleting, is_true, scaled, with_condition
from dev.kube.custom import crd_status
from dev.kube.resources import ObjectKey
from dev.kube.schema import Json
from dev.kube.selectors import selects
from dev.kube.store import Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

CLAIMS: Final = ("", "persistentvolumeclaims")
VOLUMES: Final = ("", "persistentvolumes")
AUTOSCALERS: Final = ("autoscaling", "horizontalpodautoscalers")
API_SERVICES: Final = ("apiregistration.k8s.io", "apiservices")
BUDGETS: Final = ("policy", "poddisruptionbudgets")
DEFINITIONS: Final = ("apiextensions.k8s.io", "customresourcedefinitions")
CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"


def reconcile_claim(cluster: Cluster, key: ObjectKey) -> None:
    """Bind a claim to a volume made for it."""
    record = cluster.get(CLAIMS, key)
    if record is None or deleting(record.obj) or record.obj["status"].get("phase") == "Bound":
        return
    claim = record.obj
    spec, uid = claim["spec"], claim["metadata"]["uid"]
    name = spec.get("volumeName") or f"pvc-{uid}"
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "1Gi")
    modes = spec.get("accessModes") or ["ReadWriteOnce"]
    if cluster.get(VOLUMES, ("", name)) is None:
        cluster.create(VOLUMES, _volume(claim, name, size, modes), MANAGER)
    bound = {**claim, "spec": {**spec, "volumeName": name}}
    record = cluster.rewrite(CLAIMS, record, bound, MANAGER)
    status = {"phase": "Bound", "accessModes": modes, "capacity": {"storage": size}}
    cluster.set_status(CLAIMS, record, status, MANAGER)
    volume = cluster.get(VOLUMES, ("", name))
    if volume is not None:
        cluster.set_status(VOLUMES, volume, {"phase": "Bound"}, MANAGER)


def _volume(claim: Json, name: str, size: str, modes: list[str]) -> Json:
    metadata = claim["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": modes,
            "capacity": {"storage": size},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": claim["spec"].get("storageClassName", ""),
            "hostPath": {"path": f"/simulated/{name}", "type": ""},
        },
    }


def release_volume(cluster: Cluster, key: ObjectKey) -> None:
    """Remove the volumes of claims that are gone."""
    for record in list(cluster.store.bucket(VOLUMES).records.values()):
        reference = record.obj["spec"].get("claimRef") or {}
        place = (reference.get("namespace", ""), reference.get("name", ""))
        if reference and place == key and cluster.get(CLAIMS, key) is None:
            cluster.delete(VOLUMES, record.key)


def reconcile_autoscaler(cluster: Cluster, key: ObjectKey) -> None:
    """Report that the target could be scaled; nothing is ever scaled."""
    record = cluster.get(AUTOSCALERS, key)
    if record is None or deleting(record.obj):
        return
    old, now = record.obj.get("status") or {}, cluster.now()
    target = record.obj["spec"]["scaleTargetRef"]
    found = cluster.registry.of_kind(target.get("apiVersion", "apps/v1"), target["kind"])
    scaled_object = cluster.get(found.storage, (key[0], target["name"])) if found else None
    replicas = scaled_object.obj["spec"].get("replicas", 0) if scaled_object else 0
    conditions = old.get("conditions")
    for kind, state, reason in (
        ("AbleToScale", "True", "ReadyForNewScale"),
        ("ScalingActive", "True", "ValidMetricFound"),
        ("ScalingLimited", "False", "DesiredWithinRange"),
    ):
        conditions = with_condition(conditions, kind, state, reason, "", now)
    status = {**old, "currentReplicas": replicas, "desiredReplicas": replicas}
    cluster.set_status(AUTOSCALERS, record, {**status, "conditions": conditions}, MANAGER)


def reconcile_api_service(cluster: Cluster, key: ObjectKey) -> None:
    """Mark an APIService available."""
    record = cluster.get(API_SERVICES, key)
    if record is None or deleting(record.obj):
        return
    old = record.obj.get("status") or {}
    text = "all checks passed"
    conditions = with_condition(
        old.get("conditions"), "Available", "True", "Passed", text, cluster.now()
    )
    cluster.set_status(API_SERVICES, record, {**old, "conditions": conditions}, "kube-aggregator")


def reconcile_budget(cluster: Cluster, key: ObjectKey) -> None:
    """Count the pods of a PodDisruptionBudget."""
    record = cluster.get(BUDGETS, key)
    if record is None or deleting(record.obj):
        return
    spec = record.obj["spec"]
    pods = [
        pod.obj
        for pod in cluster.store.bucket(PODS).after(key[0], None)
        if selects(spec.get("selector"), pod.obj["metadata"].get("labels"))
    ]
    healthy, total = sum(is_true(pod, "Ready") for pod in pods), len(pods)
    if "minAvailable" in spec:
        wanted = scaled(spec["minAvailable"], total, up=True)
    else:
        wanted = total - scaled(spec.get("maxUnavailable", 0), total, up=True)
    allowed = max(healthy - wanted, 0) if total else 0
    now, old = cluster.now(), record.obj.get("status") or {}
    enough = "SufficientPods" if allowed else "InsufficientPods"
    state = "True" if allowed else "False"
    status = {
        "observedGeneration": record.obj["metadata"]["generation"],
        "currentHealthy": healthy,
        "desiredHealthy": max(wanted, 0),
        "disruptionsAllowed": allowed,
        "expectedPods": total,
        "conditions": with_condition(
            old.get("conditions"), "DisruptionAllowed", state, enough, "", now
        ),
    }
    cluster.set_status(BUDGETS, record, status, MANAGER)


def reconcile_definition(cluster: Cluster, key: ObjectKey) -> None:
    """Establish a CustomResourceDefinition; empty it of its resources when it is deleted."""
    record = cluster.get(DEFINITIONS, key)
    if record is None:
        return
    if deleting(record.obj):
        _clean_up(cluster, record)
        return
    metadata = dict(record.obj["metadata"])
    finalizers = metadata.get("finalizers") or []
    if CLEANUP not in finalizers:
        metadata["finalizers"] = [*finalizers, CLEANUP]
        new = {**record.obj, "metadata": metadata}
        record = cluster.rewrite(DEFINITIONS, record, new, "kube-apiserver")
    status = crd_status(record.obj, cluster.now())
    cluster.set_status(DEFINITIONS, record, status, "kube-apiserver")


def _clean_up(cluster: Cluster, record: Record) -> None:
    spec = record.obj["spec"]
    storage = (spec["group"], spec["names"]["plural"])
    bucket = cluster.store.bucket(storage)
    for item in list(bucket.records.values()):
        cluster.delete(storage, item.key)
    finalizers = [
        item for item in record.obj["metadata"].get("finalizers") or () if item != CLEANUP
    ]
    if bucket.records or finalizers:
        return
    cluster.store.remove(DEFINITIONS, record.key)
