"""Kubernetes Events (core/v1) about the resource, so that `kubectl describe` tells what happened.

The same thing said again within ten minutes only raises the count of the Event there is. Events
are told when possible: the queue is bounded, the oldest goes when it is full, and one that the API
server does not take is dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from agent.clock import Clock
from agent.cluster.resource import API_VERSION, KIND
from agent.errors import KubeError, KubeNotFound
from agent.kube.client import KubeClient
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

SAME_EVENT_SECONDS = 600.0
QUEUE_LENGTH = 100
REMEMBERED = 200
MESSAGE_CHARACTERS = 1024
NAMESPACE = "default"
"""Where Events about cluster-scoped objects belong (the API server insists)."""


class EventType(StrEnum):
    """Kinds of Kubernetes Events."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True)
class Announcement:
    """One thing to tell."""

    type: EventType
    reason: str
    message: str


@dataclass
class _Told:
    name: str
    count: int
    since: float


@dataclass
class Announcer:
    """Tells Events about one ArcBridgeCluster."""

    kube: KubeClient
    cluster_name: str
    cluster_uid: str
    instance: str
    clock: Clock
    _queue: deque[Announcement] = field(default_factory=lambda: deque(maxlen=QUEUE_LENGTH))
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _told: OrderedDict[Announcement, _Told] = field(default_factory=OrderedDict)

    def tell(self, type_: EventType, reason: str, message: str) -> None:
        """Queue an Event."""
        self._queue.append(Announcement(type_, reason, message[:MESSAGE_CHARACTERS]))
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._queue:
                await self._send(self._queue.popleft())

    async def _send(self, item: Announcement) -> None:
        told = self._told.get(item)
        try:
            if told and self.clock.monotonic() - told.since < SAME_EVENT_SECONDS:
                await self._again(told)
            else:
                await self._first(item)
        except KubeNotFound:
            self._told.pop(item, None)  # the API server forgets Events after an hour
        except KubeError as error:
            log.warning("event could not be told", reason=item.reason, error=str(error))

    async def _first(self, item: Announcement) -> None:
        now = self.clock.now()
        name = event_name(self.cluster_name, item, now)
        events = await self.kube.resource("v1", "Event")
        await self.kube.create(events, self._body(name, item, now))
        self._told[item] = _Told(name, 1, self.clock.monotonic())
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    async def _again(self, told: _Told) -> None:
        told.count += 1
        body = {"count": told.count, "lastTimestamp": _time(self.clock.now())}
        await self.kube.patch(await self.kube.resource("v1", "Event"), told.name, NAMESPACE, body)

    def _body(self, name: str, item: Announcement, now: datetime) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": self.cluster_name,
                "uid": self.cluster_uid,
            },
            "type": item.type.value,
            "reason": item.reason,
            "message": item.message,
            "count": 1,
            "firstTimestamp": _time(now),
            "lastTimestamp": _time(now),
            "source": {"component": "arcbridge-agent"},
            "reportingComponent": "arcbridge-agent",
            "reportingInstance": self.instance,
        }


def event_name(cluster: str, item: Announcement, now: datetime) -> str:
    """A name that no other Event has. Pure."""
    content = f"{item.type}\n{item.reason}\n{item.message}".encode()
    short = hashlib.sha256(content).hexdigest()[:8]
    return f"{cluster[:200]}.{int(now.timestamp() * 1000):x}{short}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
