"""What the controllers share: owners, conditions, readiness."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from dev.kube.fieldset import compact
from dev.kube.resources import ObjectKey, StorageKey
from dev.kube.schema import Json
from dev.kube.store import Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

MANAGER: Final = "kube-controller-manager"
PODS: Final = ("", "pods")
NODES: Final = ("", "nodes")
DEPLOYMENTS: Final = ("apps", "deployments")
REPLICA_SETS: Final = ("apps", "replicasets")
STATEFUL_SETS: Final = ("apps", "statefulsets")
DAEMON_SETS: Final = ("apps", "daemonsets")
REVISIONS: Final = ("apps", "controllerrevisions")
JOBS: Final = ("batch", "jobs")
REPLICATION_CONTROLLERS: Final = ("", "replicationcontrollers")
_SAFE: Final = "bcdfghjklmnpqrstvwxz2456789"


def owner_reference(owner: Json) -> Json:
    """The controlling owner reference to `owner`."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Json) -> Json | None:
    """The owner reference of an object's controller."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            found: Json = owner
            return found
    return None


def children(cluster: Cluster, storage: StorageKey, owner: Json) -> list[Record]:
    """Objects of one resource that `owner` controls, oldest first."""
    found = []
    uid = owner["metadata"]["uid"]
    for place, key in cluster.owners.dependents(uid):
        record = cluster.get(place, key) if place == storage else None
        reference = controller_of(record.obj) if record else None
        if record is not None and reference is not None and reference["uid"] == uid:
            found.append(record)
    return sorted(found, key=lambda record: (_created(record), record.key))


def _created(record: Record) -> str:
    created: str = record.obj["metadata"]["creationTimestamp"]
    return created


def deleting(obj: Json) -> bool:
    """Is the object being deleted?"""
    return bool(obj["metadata"].get("deletionTimestamp"))


def condition(status: Json | None, kind: str) -> Json | None:
    """The condition of one type."""
    for item in (status or {}).get("conditions") or ():
        if item.get("type") == kind:
            found: Json = item
            return found
    return None


def is_true(obj: Json, kind: str) -> bool:
    """Is the condition `kind` of the object True?"""
    found = condition(obj.get("status"), kind)
    return bool(found and found["status"] == "True")


def available(pod: Json, min_ready_seconds: int, now: datetime) -> bool:
    """Has the pod been ready for long enough?"""
    found = condition(pod.get("status"), "Ready")
    if not found or found["status"] != "True" or deleting(pod):
        return False
    if not min_ready_seconds:
        return True
    since = datetime.fromisoformat(found["lastTransitionTime"].replace("Z", "+00:00"))
    return (now - since).total_seconds() >= min_ready_seconds


def with_condition(
    conditions: list[Json] | None, kind: str, status: str, reason: str, message: str, now: str,
    *, updated: bool = False,
) -> list[Json]:  # fmt: skip
    """The conditions with one of them set; its transition time moves only with its status.

    `updated` adds `lastUpdateTime`, which Deployments have: it moves with the reason too.
    """
    kept = list(conditions or ())
    new: Json = {"type": kind, "status": status, "reason": reason, "message": message}
    old = next((item for item in kept if item["type"] == kind), None)
    moved = old is None or old["status"] != status
    new["lastTransitionTime"] = now if moved or old is None else old["lastTransitionTime"]
    if updated:
        same = old is not None and (old["reason"], old["message"]) == (reason, message)
        new["lastUpdateTime"] = old["lastUpdateTime"] if old and same and not moved else now
    if old is None:
        return [*kept, new]
    return [new if item is old else item for item in kept]


def template_hash(template: Json) -> str:
    """A name part that stands for a pod template."""
    digest = hashlib.sha256(compact(template).encode()).digest()
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:10])


def pod_from_template(owner: Json, template: Json, **metadata: Any) -> Json:
    """A pod as `owner` makes it from its template."""
    inner = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(inner.get("labels") or {}), **metadata.pop("labels", {})},
            "annotations": dict(inner.get("annotations") or {}),
            "ownerReferences": [owner_reference(owner)],
            **metadata,
        },
        "spec": dict(template["spec"]),
    }


def scaled(value: Any, total: int, *, up: bool) -> int:
    """An integer, or a percentage of `total` rounded up or down."""
    if isinstance(value, str) and value.endswith("%"):
        percent = int(value[:-1]) * total
        return -(-percent // 100) if up else percent // 100
    return int(value or 0)


def owner_key(obj: Json, reference: Json) -> ObjectKey:
    """The key of an object's namespaced owner."""
    return obj["metadata"].get("namespace", ""), reference["name"]
