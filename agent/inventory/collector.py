"""Watches what the inventory is made of. Keeps only what is described, never whole objects.

A kind that the agent may not list, or that the cluster does not have, is left out and asked for
again later: an inventory with a gap is worth more than none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agent.clock import Clock
from agent.errors import KubeError, KubeForbidden, KubeNotFound
from agent.inventory.describe import KINDS, Described, InventoryKind
from agent.inventory.snapshot import Key, Snapshot, newest_releases, take
from agent.kube.client import KubeClient
from agent.kube.watch import Changed, ChangeType, Listed
from agent.together import run_together
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

ASK_AGAIN_SECONDS = 600.0
RETRY_SECONDS = 5.0


@dataclass
class Collector:
    """The inventory of one cluster, kept up to date."""

    kube: KubeClient
    reconciler_kube: KubeClient
    """The same cluster in the name that extensions are applied in."""
    clock: Clock
    kinds: tuple[InventoryKind, ...] = KINDS
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with every change that shows; cleared by who waits for it."""
    _objects: dict[str, dict[Key, Described]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every kind was listed once, or cannot be."""
        return len(self._objects) == len(self.kinds)

    async def run(self) -> None:
        """Until cancelled."""
        await run_together(*(self._follow(kind) for kind in self.kinds))

    def snapshot(self) -> Snapshot:
        """Everything there is now."""
        return take(self._described())

    def _described(self) -> Iterator[tuple[Key, Described]]:
        for kind in self.kinds:
            objects = self._objects.get(kind.name, {})
            if kind.name == "HelmRelease":
                objects = newest_releases(objects.items())
            yield from objects.items()

    async def _follow(self, kind: InventoryKind) -> None:
        while True:
            try:
                await self._watch(kind)
            except (KubeForbidden, KubeNotFound) as error:
                log.info("inventory goes without a kind", kind=kind.name, reason=str(error))
                self._objects[kind.name] = {}
                self.changed.set()
                await self.clock.sleep(ASK_AGAIN_SECONDS)
            except KubeError as error:
                log.warning("cluster unreachable", error=str(error))
                await self.clock.sleep(RETRY_SECONDS)

    async def _watch(self, kind: InventoryKind) -> None:
        kube = self.reconciler_kube if kind.as_reconciler else self.kube
        resource = await kube.resource(kind.api_version, kind.kind)
        watch = kube.watch(
            resource,
            label_selector=kind.label_selector,
            metadata_only=kind.metadata_only,
            project=lambda obj: _projected(kind, obj),
        )
        async for news in watch:
            if self._take(kind, news):
                self.changed.set()

    def _take(self, kind: InventoryKind, news: Listed | Changed) -> bool:
        """Take up what the watch says; whether anything that shows is different."""
        if isinstance(news, Listed):
            before = self._objects.get(kind.name)
            after = {item["key"]: item["data"] for item in news.items}
            self._objects[kind.name] = after
            return after != before
        objects = self._objects.setdefault(kind.name, {})
        key, data = news.object["key"], news.object["data"]
        if news.type is ChangeType.DELETED:
            return objects.pop(key, None) is not None
        if objects.get(key) == data:
            return False
        objects[key] = data
        return True


def _projected(kind: InventoryKind, obj: dict[str, Any]) -> dict[str, Any]:
    metadata = obj.get("metadata") or {}
    key: Key = (kind.name, metadata.get("namespace") or "", metadata.get("name") or "")
    return {"key": key, "data": kind.describe(obj)}
