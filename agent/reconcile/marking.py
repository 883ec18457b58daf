"""The extension's label on live objects that somebody else renders: by it they are watched.

It is put there under the agent's own field manager, so that whoever applies the object has no say
in it, and does not take it away.
"""

from __future__ import annotations

from agent.kube.client import KubeClient
from agent.reconcile.objects import EXTENSION_LABEL, Object, labels_of


def is_marked(obj: Object, extension: str) -> bool:
    """Whether the object has the extension's label."""
    return labels_of(obj).get(EXTENSION_LABEL) == extension


async def mark(kube: KubeClient, live: Object, extension: str) -> Object:
    """Label an object that is there; returns it. Raises KubeConflict where it is another by now."""
    meta = {"name": live["metadata"]["name"], "labels": {EXTENSION_LABEL: extension}}
    if live["metadata"].get("namespace"):
        meta["namespace"] = live["metadata"]["namespace"]
    # With the uid, an object that was deleted meanwhile is not made anew.
    meta["uid"] = live["metadata"]["uid"]
    body = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": meta}
    resource = await kube.resource(str(live["apiVersion"]), str(live["kind"]))
    return await kube.apply(resource, body, force=True)
