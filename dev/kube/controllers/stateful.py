"""StatefulSets: numbered pods in order, with their volume claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dev.kube.controllers.common import (
    MANAGER,
    PODS,
    REVISIONS,
    STATEFUL_SETS,
    available,
    children,
    deleting,
    is_true,
    owner_reference,
    pod_from_template,
    template_hash,
)
from dev.kube.resources import ObjectKey
from dev.kube.schema import Json
from dev.kube.store import Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

REVISION_LABEL: Final = "controller-revision-hash"
_CLAIMS: Final = ("", "persistentvolumeclaims")


def reconcile_stateful_set(cluster: Cluster, key: ObjectKey) -> None:
    """Move one StatefulSet a step on: one pod at a time unless its policy is Parallel."""
    record = cluster.get(STATEFUL_SETS, key)
    if record is None:
        return
    owner = record.obj
    revision = f"{owner['metadata']['name']}-{template_hash(owner['spec']['template'])}"
    pods = {int(pod.key[1].rsplit("-", 1)[1]): pod for pod in children(cluster, PODS, owner)}
    if not deleting(owner):
        _keep_revision(cluster, owner, revision)
        _step(cluster, owner, pods, revision)
    record = cluster.get(STATEFUL_SETS, key)
    if record is not None:
        _report(cluster, key, record, revision)


def _keep_revision(cluster: Cluster, owner: Json, name: str) -> None:
    key = (owner["metadata"]["namespace"], name)
    if cluster.get(REVISIONS, key) is None:
        revisions = children(cluster, REVISIONS, owner)
        newest = max((item.obj["revision"] for item in revisions), default=0)
        document = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "namespace": key[0],
                "labels": owner["metadata"].get("labels") or {},
                "ownerReferences": [owner_reference(owner)],
            },
            "data": {"spec": {"template": owner["spec"]["template"]}},
            "revision": newest + 1,
        }
        cluster.create(REVISIONS, document, MANAGER)


def _step(cluster: Cluster, owner: Json, pods: dict[int, Record], revision: str) -> None:
    spec = owner["spec"]
    first = (spec.get("ordinals") or {}).get("start", 0)
    wanted = range(first, first + spec["replicas"])
    in_order = spec.get("podManagementPolicy") == "OrderedReady"
    for ordinal in wanted:
        pod = pods.get(ordinal)
        if pod is None:
            _create_pod(cluster, owner, ordinal, revision)
            if in_order:
                return
        elif in_order and (deleting(pod.obj) or not is_true(pod.obj, "Ready")):
            # A pod of an old revision that never became ready would block its own repair.
            if _revision_of(pod) != revision and not deleting(pod.obj):
                cluster.delete(PODS, pod.key)
            return
    surplus = sorted((ordinal for ordinal in pods if ordinal not in wanted), reverse=True)
    for ordinal in surplus:
        cluster.delete(PODS, pods[ordinal].key)
        if in_order:
            return
    if spec["updateStrategy"]["type"] == "RollingUpdate":
        _update_one(cluster, owner, pods, revision)


def _update_one(cluster: Cluster, owner: Json, pods: dict[int, Record], revision: str) -> None:
    """Replace the highest pod of an old revision, once all above it are ready."""
    rolling = owner["spec"]["updateStrategy"].get("rollingUpdate") or {}
    for ordinal in sorted(pods, reverse=True):
        pod = pods[ordinal]
        if ordinal < rolling.get("partition", 0):
            return
        if _revision_of(pod) != revision:
            cluster.delete(PODS, pod.key)
            return
        if deleting(pod.obj) or not is_true(pod.obj, "Ready"):
            return


def _revision_of(pod: Record) -> str:
    return str((pod.obj["metadata"].get("labels") or {}).get(REVISION_LABEL, ""))


def _create_pod(cluster: Cluster, owner: Json, ordinal: int, revision: str) -> None:
    name = f"{owner['metadata']['name']}-{ordinal}"
    labels = {
        REVISION_LABEL: revision,
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(ordinal),
    }
    pod = pod_from_template(owner, owner["spec"]["template"], name=name, labels=labels)
    pod["spec"].update(hostname=name, subdomain=owner["spec"].get("serviceName", ""))
    volumes = list(pod["spec"].get("volumes") or ())
    for claim in owner["spec"].get("volumeClaimTemplates") or ():
        claim_name = f"{claim['metadata']['name']}-{name}"
        metadata = {
            **claim["metadata"],
            "name": claim_name,
            "namespace": owner["metadata"]["namespace"],
            "labels": owner["spec"]["selector"].get("matchLabels") or {},
        }
        cluster.create(_CLAIMS, {**claim, "metadata": metadata}, MANAGER)
        reference = {"claimName": claim_name}
        volumes.append({"name": claim["metadata"]["name"], "persistentVolumeClaim": reference})
    if volumes:
        pod["spec"]["volumes"] = volumes
    cluster.create(PODS, pod, MANAGER)


def _report(cluster: Cluster, key: ObjectKey, record: Record, revision: str) -> None:
    owner = record.obj
    pods = [pod for pod in children(cluster, PODS, owner) if not deleting(pod.obj)]
    wait = owner["spec"].get("minReadySeconds") or 0
    ready = sum(is_true(pod.obj, "Ready") for pod in pods)
    up = sum(available(pod.obj, wait, cluster.time()) for pod in pods)
    if up < ready:
        cluster.hub.add_after(1.0, reconcile_stateful_set, key)
    updated = sum(_revision_of(pod) == revision for pod in pods)
    old = owner.get("status") or {}
    done = updated == len(pods) == owner["spec"]["replicas"] == ready
    current = revision if done else old.get("currentRevision", revision)
    status = {
        "observedGeneration": owner["metadata"]["generation"],
        "replicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": up,
        "currentReplicas": sum(_revision_of(pod) == current for pod in pods),
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": revision,
        "collisionCount": 0,
    }
    optional = ("readyReplicas", "currentReplicas", "updatedReplicas")
    status = {name: value for name, value in status.items() if value or name not in optional}
    cluster.set_status(STATEFUL_SETS, record, status, MANAGER)
