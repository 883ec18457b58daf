"""Events of type Warning: what `kubectl describe` and operators show when something is stuck.

Normal events are not made: nobody misses them, and they would be most of a fleet's memory.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from dev.kube.schema import Json

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

EVENTS: Final = ("", "events")


def warn(cluster: Cluster, about: Json, reason: str, message: str, component: str) -> None:
    """Say once about an object what is wrong with it; saying it again changes nothing."""
    metadata = about["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']}/{reason}/{message}".encode()).hexdigest()[:16]
    name = f"{metadata['name'][:200]}.{digest}"
    if cluster.get(EVENTS, (metadata["namespace"], name)) is not None:
        return
    now = cluster.now()
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": "Warning",
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    cluster.create(EVENTS, event, component)
