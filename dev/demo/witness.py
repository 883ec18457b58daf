"""Watches what really happens in a cluster, with `kubectl get --watch`, and remembers it.

So the demo can say not only how a cluster ends but what it ever ran, and when: that a canary came
first, and that a broken version was never seen anywhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dev.stack.clusters import Cluster
from dev.stack.surface import Surface

READ_BYTES = 65_536
RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Sighting:
    """A Deployment as it was at one moment."""

    seconds: float
    """On this machine's monotonic clock."""
    image: str
    ready: bool
    """Whether the controller has seen it and every replica is updated and available."""


@dataclass
class Witness:
    """What one Deployment in one cluster looked like over time."""

    cluster: Cluster
    namespace: str
    name: str
    sightings: list[Sighting] = field(default_factory=list)

    @property
    def now(self) -> Sighting | None:
        """The newest."""
        return self.sightings[-1] if self.sightings else None

    def saw(self, tag: str) -> bool:
        """Whether it ever had an image with this tag."""
        return self.first(tag) is not None

    def first(self, tag: str) -> float | None:
        """When it first had an image with this tag."""
        return self._first(tag, ready=False)

    def first_ready(self, tag: str) -> float | None:
        """When it was first ready with an image with this tag."""
        return self._first(tag, ready=True)

    def _first(self, tag: str, *, ready: bool) -> float | None:
        found = (
            each.seconds
            for each in self.sightings
            if each.image.endswith(f":{tag}") and (each.ready or not ready)
        )
        return next(found, None)

    async def run(self, surface: Surface, changed: Callable[[], None]) -> None:
        """Watch until cancelled; the watch is opened again when it ends."""
        while True:
            async for event in watch(surface, self.cluster, self.namespace, "deployments"):
                if event["object"]["metadata"]["name"] == self.name:
                    self.sightings.append(sighting(event, time.monotonic()))
                    changed()
            await asyncio.sleep(RETRY_SECONDS)


def sighting(event: dict[str, Any], seconds: float) -> Sighting:
    """A watch event as a sighting; a deleted object has no image."""
    if event["type"] == "DELETED":
        return Sighting(seconds, "", ready=False)
    deployment = event["object"]
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    ready = (
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    return Sighting(seconds, image, ready)


async def watch(
    surface: Surface, cluster: Cluster, namespace: str, kind: str
) -> AsyncIterator[dict[str, Any]]:
    """The events of `kubectl get --watch`, until it ends."""
    arguments = ("get", kind, "-n", namespace, "--watch", "--output-watch-events", "-o", "json")
    async with surface.kubectl_stream(cluster, *arguments) as output:
        text = ""
        while chunk := await output.read(READ_BYTES):
            text += chunk.decode()
            events, text = split(text)
            for event in events:
                yield event


def split(text: str) -> tuple[list[dict[str, Any]], str]:
    """The whole JSON documents at the start of `text`, and what is left."""
    events = list(_documents(text))
    end = events[-1][1] if events else 0
    return [event for event, _ in events], text[end:]


def _documents(text: str) -> Iterator[tuple[dict[str, Any], int]]:
    decoder, position = json.JSONDecoder(), 0
    with contextlib.suppress(json.JSONDecodeError):
        while (start := text.find("{", position)) >= 0:
            event, position = decoder.raw_decode(text, start)
            yield event, position
