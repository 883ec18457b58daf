"""Who owns whom: an index of uids and of the objects that name them as owner."""

from __future__ import annotations

from dev.kube.resources import ObjectKey, StorageKey
from dev.kube.schema import Json
from dev.kube.store import DELETED, Change, Store

Place = tuple[StorageKey, ObjectKey]


def owner_uids(obj: Json) -> set[str]:
    """The uids that an object names as its owners."""
    return {owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()}


class OwnerIndex:
    """Finds objects by uid and dependents by owner, kept up by the store's changes."""

    def __init__(self) -> None:
        self._by_uid: dict[str, Place] = {}
        self._dependents: dict[str, set[Place]] = {}

    def rebuild(self, store: Store) -> None:
        """Index everything a store holds."""
        for storage, bucket in store.buckets.items():
            for key, record in bucket.records.items():
                self._add((storage, key), record.obj)

    def note(self, change: Change) -> None:
        """Take a change into the index."""
        place = (change.storage, change.record.key)
        if change.before is not None:
            self._discard(place, change.before.obj)
        if change.type != DELETED:
            self._add(place, change.record.obj)

    def exists(self, uid: str) -> bool:
        """Is there an object with this uid?"""
        return uid in self._by_uid

    def place(self, uid: str) -> Place | None:
        """Where the object with this uid is stored."""
        return self._by_uid.get(uid)

    def dependents(self, uid: str) -> list[Place]:
        """Objects that name this uid as an owner, in a stable order."""
        return sorted(self._dependents.get(uid, ()))

    def _add(self, place: Place, obj: Json) -> None:
        self._by_uid[obj["metadata"]["uid"]] = place
        for uid in owner_uids(obj):
            self._dependents.setdefault(uid, set()).add(place)

    def _discard(self, place: Place, obj: Json) -> None:
        self._by_uid.pop(obj["metadata"]["uid"], None)
        for uid in owner_uids(obj):
            found = self._dependents.get(uid)
            if found is not None:
                found.discard(place)
                if not found:
                    del self._dependents[uid]
