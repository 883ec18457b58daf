"""A cluster's objects: versions, lists, and the change log that watches read.

Stored objects are frozen by convention: a change stores a new object. The JSON text of each is
made once and shared by every answer and every watcher.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from dev.kube.json_text import json_text
from dev.kube.resources import ObjectKey, StorageKey
from dev.kube.schema import Json

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"
#: Changes remembered per resource; a watch that starts before them gets 410 Gone.
LOG_LENGTH: Final = 4096


class Record:
    """One stored version of an object."""

    __slots__ = ("_body", "obj", "version")

    def __init__(self, obj: Json, version: int) -> None:
        self.obj = obj
        self.version = version
        self._body: bytes | None = None

    @property
    def body(self) -> bytes:
        """The object as JSON text."""
        if self._body is None:
            self._body = json_text(self.obj)
        return self._body

    def thaw(self) -> Json:
        """A copy that may be changed."""
        copy: Json = json.loads(self.body)
        return copy

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        metadata = self.obj["metadata"]
        return metadata.get("namespace", ""), metadata["name"]


class Change(NamedTuple):
    """One entry of the change log; `record` is the last state for DELETED."""

    version: int
    type: str
    storage: StorageKey
    record: Record
    before: Record | None


Listener = Callable[[Change], None]


class Bucket:
    """The objects of one resource, sorted by key, with their recent changes."""

    def __init__(self, storage: StorageKey, version: int) -> None:
        self.storage = storage
        self.records: dict[ObjectKey, Record] = {}
        self.log: deque[Change] = deque(maxlen=LOG_LENGTH)
        self.oldest = version
        """Watches can start at this version or later."""
        self.listeners: set[Listener] = set()
        self._sorted: list[ObjectKey] | None = []

    def keys(self) -> list[ObjectKey]:
        """All keys in order."""
        if self._sorted is None:
            self._sorted = sorted(self.records)
        return self._sorted

    def after(self, namespace: str | None, start: ObjectKey | None) -> Iterable[Record]:
        """Records of a namespace (None: all) in order, those after `start` only."""
        keys = self.keys()
        position = bisect_right(keys, start) if start is not None else 0
        if namespace is not None:
            position = max(position, bisect_right(keys, (namespace, "")))
        for key in keys[position:]:
            if namespace is not None and key[0] != namespace:
                break
            yield self.records[key]

    def keep(self, change: Change) -> None:
        """Take a change into records and log."""
        key = change.record.key
        if change.type == DELETED:
            del self.records[key]
            self._sorted = None
        else:
            if key not in self.records:
                self._sorted = None
            self.records[key] = change.record
        if len(self.log) == LOG_LENGTH:
            self.oldest = self.log[0].version
        self.log.append(change)

    def tell(self, change: Change) -> None:
        """Tell the watchers."""
        for listener in tuple(self.listeners):
            listener(change)


class Store:
    """All objects of one cluster under one counter of resource versions."""

    def __init__(self) -> None:
        self.version = 1
        self.buckets: dict[StorageKey, Bucket] = {}
        self.write_ahead: Listener | None = None
        """Told of a change before it takes place: the journal."""
        self.observers: list[Listener] = []
        """Told of every change, in order, before the watchers: indexes, controllers."""

    def bucket(self, storage: StorageKey) -> Bucket:
        """The bucket of a resource, made on first use."""
        found = self.buckets.get(storage)
        if found is None:
            found = self.buckets[storage] = Bucket(storage, self.version)
        return found

    def get(self, storage: StorageKey, key: ObjectKey) -> Record | None:
        """The current record of an object."""
        bucket = self.buckets.get(storage)
        return bucket.records.get(key) if bucket else None

    def put(self, storage: StorageKey, obj: Json) -> Record:
        """Store a new version of an object; sets its `resourceVersion`."""
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        record = Record(obj, self.version)
        before = self.get(storage, record.key)
        self._announce(Change(self.version, MODIFIED if before else ADDED, storage, record, before))
        return record

    def remove(self, storage: StorageKey, key: ObjectKey) -> Record:
        """Remove an object; returns its last state at the version of the removal."""
        before = self.buckets[storage].records[key]
        self.version += 1
        metadata = {**before.obj["metadata"], "resourceVersion": str(self.version)}
        last = Record({**before.obj, "metadata": metadata}, self.version)
        self._announce(Change(self.version, DELETED, storage, last, before))
        return last

    def restore(self, storage: StorageKey, obj: Json) -> None:
        """Load an object as it was stored, telling nobody. Watches cannot start before it."""
        version = int(obj["metadata"]["resourceVersion"])
        self.version = max(self.version, version)
        bucket = self.bucket(storage)
        record = Record(obj, version)
        bucket.records[record.key] = record
        bucket._sorted = None

    def drop(self, storage: StorageKey) -> None:
        """Forget an empty bucket, closing nothing: its resource is served no more."""
        self.buckets.pop(storage, None)

    def _announce(self, change: Change) -> None:
        if self.write_ahead is not None:
            self.write_ahead(change)
        bucket = self.bucket(change.storage)
        bucket.keep(change)
        for observer in self.observers:
            observer(change)
        bucket.tell(change)
