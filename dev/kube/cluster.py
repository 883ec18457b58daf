"""One simulated cluster: its objects, its resources, its controllers, its settings."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dev.kube import managed, writes
from dev.kube.controllers.bootstrap import bootstrap
from dev.kube.controllers.routes import route
from dev.kube.deletes import BACKGROUND, DeleteOptions, delete_record
from dev.kube.errors import StatusError
from dev.kube.http import Request
from dev.kube.hub import Hub
from dev.kube.intake import IGNORE, How
from dev.kube.journal import Journal
from dev.kube.managed import Actor
from dev.kube.owners import OwnerIndex
from dev.kube.registry import Registry
from dev.kube.resources import ObjectKey, StorageKey
from dev.kube.schema import Json
from dev.kube.store import DELETED, Change, Record, Store

CRDS: StorageKey = ("apiextensions.k8s.io", "customresourcedefinitions")


def utc_now() -> datetime:
    """The current time."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class ClusterSettings:
    """How a cluster behaves."""

    ready_delay: float = 0.3
    """Seconds until a pod is ready, unless annotated `arcbridge.io/ready-delay: SECONDS`."""
    node_count: int = 2
    """Nodes made when the cluster is new."""
    version: str = "1.35.0"
    """What `/version` says, without the leading v."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """The bearer token that may do everything."""
    ca_bundle: str = ""
    """PEM of the server's CA, for the `kube-root-ca.crt` ConfigMaps."""


class Cluster:
    """A cluster in memory, with a journal on disk if it has a path for one."""

    def __init__(
        self,
        name: str,
        settings: ClusterSettings,
        journal_path: Path | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.name = name
        self.settings = settings
        self.store = Store()
        self.registry = Registry()
        self.owners = OwnerIndex()
        self.hub = Hub(self, route)
        self.due: dict[ObjectKey, tuple[str, float]] = {}
        """When a pod's present step is over: pod -> its uid with the step, and the hub's clock."""
        self.streams: set[asyncio.Task[None]] = set()
        """Watches being served: they end when the cluster is closed."""
        self.observers: list[Callable[[Request], None]] = []
        """Told of each request of someone who is known, before it is judged: an audit log."""
        self._clock = clock
        self._journal = Journal(journal_path) if journal_path else None
        if self._journal is not None:
            self._journal.load(self.store)
            self.store.write_ahead = self._write_ahead
        self._resume()
        self.store.observers += [self._note_definition, self.owners.note, self.hub.note]
        bootstrap(self)

    def start(self) -> None:
        """Let the controllers run, on the running event loop."""
        self.hub.start()

    def close(self) -> None:
        """Stop the controllers and close the journal."""
        self.hub.stop()
        for stream in self.streams:
            stream.cancel()
        if self._journal is not None:
            self._journal.close()

    def now(self) -> str:
        """The current time, RFC 3339 with seconds."""
        return self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")

    def time(self) -> datetime:
        """The current time."""
        return self._clock()

    def get(self, storage: StorageKey, key: ObjectKey) -> Record | None:
        """A stored object."""
        return self.store.get(storage, key)

    def create(self, storage: StorageKey, obj: Json, manager: str) -> Record | None:
        """Create an object as a controller does; None when it is there already or cannot be."""
        resource = self.registry.of_storage(storage)
        if resource is None:
            return None
        how = How(manager=manager, field_validation=IGNORE)
        try:
            namespace = obj["metadata"].get("namespace", "")
            return writes.create(self, resource, namespace, obj, how)
        except StatusError as error:
            if error.reason in {"AlreadyExists", "Forbidden", "NotFound"}:
                return None
            raise

    def rewrite(
        self, storage: StorageKey, record: Record, new: Json, manager: str, subresource: str = ""
    ) -> Record:
        """Store a controller's new version of an object, if it differs. No validation."""
        resource = self.registry.of_storage(storage)
        if resource is None or new == record.obj:
            return record
        actor = Actor(manager, subresource, resource.api_version, self.now())
        entries = managed.track_update(resource.node, record.obj, new, actor)
        metadata = {**new["metadata"], "managedFields": entries}
        if not entries:
            del metadata["managedFields"]
        return self.store.put(storage, {**new, "metadata": metadata})

    def set_status(self, storage: StorageKey, record: Record, status: Json, manager: str) -> Record:
        """Store a new status, if it differs."""
        return self.rewrite(storage, record, {**record.obj, "status": status}, manager, "status")

    def delete(
        self,
        storage: StorageKey,
        key: ObjectKey,
        propagation: str = BACKGROUND,
        grace: int | None = None,
    ) -> None:
        """Delete an object as a controller does; nothing happens when it is gone."""
        resource, record = self.registry.of_storage(storage), self.store.get(storage, key)
        if resource is not None and record is not None:
            options = DeleteOptions(propagation=propagation, grace_seconds=grace)
            delete_record(self, resource, record, options, How())

    def _write_ahead(self, change: Change) -> None:
        if self._journal is not None:
            self._journal.record(change, self.store)

    def _note_definition(self, change: Change) -> None:
        if change.storage != CRDS:
            return
        if change.type == DELETED:
            self.registry.withdraw(change.record.key[1])
        elif change.before is None or change.before.obj["spec"] != change.record.obj["spec"]:
            self.registry.define(change.record.obj)

    def _resume(self) -> None:
        """Take up the work of an earlier process with the same journal."""
        for record in self.store.bucket(CRDS).records.values():
            self.registry.define(record.obj)
        self.owners.rebuild(self.store)
        for storage, bucket in tuple(self.store.buckets.items()):
            for record in tuple(bucket.records.values()):
                self.hub.note(Change(record.version, "ADDED", storage, record, None))
