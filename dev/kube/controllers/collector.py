"""Garbage collection by owner references: background, foreground, orphan (KEP-none, as in
kube-controller-manager's garbage collector).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.kube.controllers.common import MANAGER, deleting
from dev.kube.deletes import BACKGROUND, FOREGROUND
from dev.kube.owners import Place
from dev.kube.resources import ObjectKey
from dev.kube.schema import Json
from dev.kube.store import DELETED, Change, Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"


def collect(cluster: Cluster, key: ObjectKey) -> None:
    """Look at one object, given by its uid in `key[1]`, and at those that name it as owner."""
    uid = key[1]
    place = cluster.owners.place(uid)
    record = cluster.get(*place) if place else None
    if record is None:
        for dependent in cluster.owners.dependents(uid):
            _check_owners(cluster, dependent)
        return
    finalizers = record.obj["metadata"].get("finalizers") or ()
    if place is not None and deleting(record.obj) and _ORPHAN in finalizers:
        for dependent in cluster.owners.dependents(uid):
            _drop_owners(cluster, dependent, {uid})
        _release(cluster, place, _ORPHAN)
    elif place is not None and deleting(record.obj) and _FOREGROUND in finalizers:
        _delete_dependents_first(cluster, place, uid)
    elif place is not None and record.obj["metadata"].get("ownerReferences"):
        _check_owners(cluster, place)


def _check_owners(cluster: Cluster, place: Place) -> None:
    """Delete an object whose owners are all gone; drop the references to those that are."""
    record = cluster.get(*place)
    if record is None or deleting(record.obj):
        return
    owners = record.obj["metadata"].get("ownerReferences") or ()
    gone = {owner["uid"] for owner in owners if not cluster.owners.exists(owner["uid"])}
    if not gone:
        return
    if len(gone) == len({owner["uid"] for owner in owners}):
        cluster.delete(*place, propagation=BACKGROUND)
    else:
        _drop_owners(cluster, place, gone)


def _drop_owners(cluster: Cluster, place: Place, uids: set[str]) -> None:
    record = cluster.get(*place)
    if record is None:
        return
    metadata = dict(record.obj["metadata"])
    kept = [item for item in metadata.get("ownerReferences") or () if item["uid"] not in uids]
    metadata["ownerReferences"] = kept
    if not kept:
        del metadata["ownerReferences"]
    cluster.rewrite(place[0], record, {**record.obj, "metadata": metadata}, MANAGER)


def _delete_dependents_first(cluster: Cluster, place: Place, uid: str) -> None:
    blocking = False
    for dependent in cluster.owners.dependents(uid):
        record = cluster.get(*dependent)
        if record is None:
            continue
        if not deleting(record.obj):
            cluster.delete(*dependent, propagation=FOREGROUND)
        left = cluster.get(*dependent)
        blocking = blocking or (left is not None and _blocks(left, uid))
    if not blocking:
        _release(cluster, place, _FOREGROUND)


def _blocks(record: Record, uid: str) -> bool:
    return any(
        owner["uid"] == uid and owner.get("blockOwnerDeletion")
        for owner in record.obj["metadata"].get("ownerReferences") or ()
    )


def _release(cluster: Cluster, place: Place, finalizer: str) -> None:
    """Take a finalizer away; the object goes with its last one."""
    record = cluster.get(*place)
    if record is None:
        return
    metadata = dict(record.obj["metadata"])
    metadata["finalizers"] = [item for item in metadata["finalizers"] if item != finalizer]
    last = not metadata["finalizers"]
    if last:
        del metadata["finalizers"]
    cluster.rewrite(place[0], record, {**record.obj, "metadata": metadata}, MANAGER)
    if last and not metadata.get("deletionGracePeriodSeconds"):
        cluster.store.remove(*place)


def uids_to_collect(change: Change) -> list[str]:
    """Whose ownership a change may have upset."""
    metadata: Json = change.record.obj["metadata"]
    owners = [owner["uid"] for owner in metadata.get("ownerReferences") or ()]
    if change.type == DELETED:
        return [metadata["uid"], *owners]
    if metadata.get("deletionTimestamp"):
        return [metadata["uid"], *owners]
    return [metadata["uid"]] if owners and change.before is None else []
