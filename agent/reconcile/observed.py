"""What is known of an extension's objects right now, fed by watches, without any request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from agent.kube.client import KubeClient
from agent.reconcile.checks import NO_CHECKS, Checks
from agent.reconcile.health import Health, judge
from agent.reconcile.live import get_or_none, slim
from agent.reconcile.objects import Object, ObjectKey, key_of
from agent.reconcile.owned import Sighting

_CEL_THREADS = ThreadPoolExecutor(2, thread_name_prefix="cel")
"""Threads of their own, made with the first check: what is slow there delays no other work. Each
evaluation ends by its budget, so a call that nobody waits for any more ends, too."""


class ObservedObjects:
    """The live objects of one extension, slim; and which were edited since someone last asked."""

    def __init__(self) -> None:
        self._wanted: dict[ObjectKey, tuple[str, str]] = {}
        self._floor: dict[ObjectKey, tuple[str, int]] = {}
        self.live: dict[ObjectKey, Object] = {}
        self._edited: set[ObjectKey] = set()
        self._checks = NO_CHECKS
        self.moved = False
        """Something was seen since whoever waits last set this to False."""

    def expect(
        self,
        objects: Iterable[Object],
        live: Mapping[ObjectKey, Object],
        checks: Checks = NO_CHECKS,
    ) -> None:
        """These are the objects, and so they are now. What a watch shows of the time before is
        passed over from here on: an old state that was healthy counts for nothing."""
        self._wanted = {key_of(obj): (str(obj["apiVersion"]), str(obj["kind"])) for obj in objects}
        self._checks = checks
        self._floor = {key: _age(obj) for key, obj in live.items()}
        self.live = {key: slim(obj) for key, obj in live.items()}
        self._edited.clear()

    def take(self, sighting: Sighting) -> bool:
        """Note what a watch saw. False when it is nothing new."""
        if sighting.object is None:
            self.live.pop(sighting.key, None)
        else:
            if self._is_old(sighting.key, sighting.object) or self._is_known(sighting):
                return False
            if sighting.key in self._wanted:
                self.live[sighting.key] = slim(sighting.object)
        if sighting.edited:
            self._edited.add(sighting.key)
        self.moved = True
        return True

    async def health(self) -> Health:
        """The health of the wanted objects; CEL is evaluated beside the loop."""
        if not self._checks:
            return judge(self._wanted, self.live)
        wanted, live = tuple(self._wanted), dict(self.live)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_CEL_THREADS, judge, wanted, live, self._checks)

    def take_edited(self) -> set[ObjectKey]:
        """Keys that were edited, came or went since the last call."""
        edited, self._edited = self._edited, set()
        return edited

    async def refresh_unready(self, kube: KubeClient) -> None:
        """Ask for the objects that are not ready, in case a watch is broken."""
        for key, _ in (await self.health()).unready:
            api_version, kind = self._wanted[key]
            meta = {"name": key.name, "namespace": key.namespace or None}
            found = await get_or_none(
                kube, {"apiVersion": api_version, "kind": kind, "metadata": meta}
            )
            if found is None:
                self.live.pop(key, None)
            else:
                self.live[key] = slim(found)

    def _is_known(self, sighting: Sighting) -> bool:
        """This very version was read before: so a watch that begins shows every object."""
        known = self.live.get(sighting.key)
        return (
            known is not None
            and sighting.object is not None
            and _version(known) == _version(sighting.object)
        )

    def _is_old(self, key: ObjectKey, obj: Object) -> bool:
        floor = self._floor.get(key)
        if floor is None:
            return False
        uid, generation = _age(obj)
        return uid == floor[0] and generation < floor[1]


def _version(obj: Object) -> tuple[str, str]:
    meta = obj["metadata"]
    return str(meta["uid"]), str(meta["resourceVersion"])


def _age(obj: Object) -> tuple[str, int]:
    meta = obj["metadata"]
    return str(meta.get("uid", "")), int(meta.get("generation") or 0)
