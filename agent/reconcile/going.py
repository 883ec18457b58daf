"""Waiting until an object that is being deleted is gone."""

from __future__ import annotations

import asyncio

from agent.errors import KubeNotFound
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.objects import Object, ObjectKey

_POLL_FIRST_SECONDS = 0.1
_POLL_MAX_SECONDS = 2.0


def is_going(live: Object) -> bool:
    """Whether someone has deleted it, and finalizers hold it."""
    return "deletionTimestamp" in live["metadata"]


async def held_by(
    kube: KubeClient, resource: Resource, key: ObjectKey, uid: str, deadline: float
) -> str | None:
    """None once the object of this uid is gone; at the deadline, of the loop's clock, what holds
    it."""
    pause = _POLL_FIRST_SECONDS
    while True:
        try:
            live = await kube.get(resource, key.name, key.namespace or None)
        except KubeNotFound:
            return None
        meta = live["metadata"]
        if meta.get("uid") != uid:
            return None
        if asyncio.get_running_loop().time() > deadline:
            return ", ".join(meta.get("finalizers") or ()) or "nothing that it says"
        await asyncio.sleep(pause)
        pause = min(_POLL_MAX_SECONDS, pause * 2)
