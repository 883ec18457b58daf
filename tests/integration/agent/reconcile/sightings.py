"""In which order the API server took objects and let them go, as its watches tell.

Every write gets the next resourceVersion, whatever its kind, so that those of two events say which
of the two writes came first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.kube.watch import Changed, ChangeType, Listed


@dataclass
class Sightings:
    """Of one extension's objects, by kind and name: resourceVersions."""

    made: dict[tuple[str, str], int] = field(default_factory=dict)
    gone: dict[tuple[str, str], int] = field(default_factory=dict)
    last: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of the newest change of each."""

    def note(self, change: Changed) -> None:
        """Take one event."""
        meta = change.object["metadata"]
        key, version = (change.object["kind"], meta["name"]), int(meta["resourceVersion"])
        self.last[key] = version
        if change.type is ChangeType.ADDED:
            self.made[key] = version
        elif change.type is ChangeType.DELETED:
            self.gone[key] = version


def in_order(versions: dict[tuple[str, str], int]) -> list[str]:
    """The kinds, the first one first."""
    return [kind for kind, _ in sorted(versions, key=lambda key: versions[key])]


@asynccontextmanager
async def sightings(
    kubeconfig: Path, extension: str, *kinds: tuple[str, str]
) -> AsyncIterator[Sightings]:
    """Watch objects of an extension of these kinds, (apiVersion, kind), for a block's length."""
    seen = Sightings()
    async with await KubeClient.connect(kubeconfig) as kube:
        begun = [asyncio.Event() for _ in kinds]

        async def follow(resource: Resource, listed: asyncio.Event) -> None:
            label = f"arcbridge.io/extension={extension}"
            async for event in kube.watch(resource, label_selector=label):
                if isinstance(event, Listed):
                    listed.set()
                else:
                    seen.note(event)

        resources = [await kube.resource(*kind) for kind in kinds]
        tasks = [
            asyncio.create_task(follow(resource, listed))
            for resource, listed in zip(resources, begun, strict=True)
        ]
        try:
            async with asyncio.timeout(30):
                for listed in begun:
                    await listed.wait()
            yield seen
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
