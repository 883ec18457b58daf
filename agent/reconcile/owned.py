"""Watches every object that carries an extension's label, and tells the extension's worker.

One watch per kind serves all extensions, so an idle agent costs the API server a handful of open
connections and no polling. Nothing is kept here but the last content's digest of each object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.errors import KubeError, KubeForbidden
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.kube.watch import ChangeType, Listed
from agent.reconcile.difference import comparable
from agent.reconcile.objects import EXTENSION_LABEL, Object, ObjectKey, key_of
from shared.contract.canonical import digest
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

_RETRY_SECONDS = 60.0


@dataclass(frozen=True)
class Sighting:
    """An object as a watch showed it; None when it is gone."""

    key: ObjectKey
    object: Object | None
    edited: bool
    """Something beside its status changed, or it came or went."""


Tell = Callable[[str, Sighting], None]


class OwnedObjects:
    """The watches. `tell` is called in the event loop with the extension's name; never blocks."""

    def __init__(self, kube: KubeClient, group: asyncio.TaskGroup, tell: Tell) -> None:
        self._kube = kube
        self._group = group
        self._tell = tell
        self._watched: set[tuple[str, str, str | None]] = set()
        self._namespaces: dict[tuple[str, str], set[str]] = {}
        self._narrow: set[tuple[str, str]] = set()
        """Kinds that may only be watched namespace by namespace."""

    def follow(self, resource: Resource, namespaces: Iterable[str]) -> None:
        """Watch a kind from now on, in these namespaces at least. Calling it again does nothing.

        One watch over all namespaces is the cheapest; where that is forbidden there is one for
        each namespace.
        """
        kind = (resource.group, resource.kind)
        self._namespaces.setdefault(kind, set()).update(namespaces)
        if kind in self._narrow:
            for namespace in self._namespaces[kind]:
                self._start(resource, namespace)
        else:
            self._start(resource, None)

    def _start(self, resource: Resource, namespace: str | None) -> None:
        watch = (resource.group, resource.kind, namespace)
        if watch not in self._watched:
            self._watched.add(watch)
            self._group.create_task(self._watch(resource, namespace), name=f"watch {watch}")

    async def _watch(self, resource: Resource, namespace: str | None) -> None:
        """Watch until cancelled; a kind that goes away is looked for again later."""
        seen: dict[ObjectKey, tuple[str, str]] = {}
        while True:
            try:
                async for item in self._kube.watch(
                    resource, namespace, label_selector=EXTENSION_LABEL
                ):
                    if isinstance(item, Listed):
                        self._take_list(seen, item)
                    else:
                        gone = item.type is ChangeType.DELETED
                        self._take(seen, item.object, gone=gone)
            except KubeForbidden:
                if namespace is None and resource.namespaced:
                    kind = (resource.group, resource.kind)
                    self._narrow.add(kind)
                    self.follow(resource, self._namespaces[kind])
                    return
                log.warning("kind may not be watched", kind=resource.kind, namespace=namespace)
            except KubeError as error:
                log.warning("kind cannot be watched", kind=resource.kind, error=str(error)[:300])
            except Exception:
                # A supervisor: the engine must not end for one object that nobody thought of.
                log.exception("watch failed, starting again", kind=resource.kind)
            await asyncio.sleep(_RETRY_SECONDS)

    def _take_list(self, seen: dict[ObjectKey, tuple[str, str]], listed: Listed) -> None:
        present = set()
        for obj in listed.items:
            present.add(key_of(obj))
            self._take(seen, obj, gone=False)
        for key in [key for key in seen if key not in present]:
            extension, _ = seen.pop(key)
            self._tell(extension, Sighting(key, None, edited=True))

    def _take(self, seen: dict[ObjectKey, tuple[str, str]], obj: Object, *, gone: bool) -> None:
        key = key_of(obj)
        extension = (obj["metadata"].get("labels") or {}).get(EXTENSION_LABEL, "")
        before = seen.pop(key, None)
        if before is not None and before[0] != extension:
            self._tell(before[0], Sighting(key, None, edited=True))
        if gone:
            self._tell(extension, Sighting(key, None, edited=True))
            return
        now = (extension, digest(comparable(obj)))
        seen[key] = now
        self._tell(extension, Sighting(key, obj, edited=before != now))
