"""Keeps the demo off clusters that somebody manages with ArcBridge, and cleans up after it.

A cluster that the demo may use either has no ArcBridge in it, or one that an earlier demo left
behind and marked as its own.
"""

from __future__ import annotations

import asyncio
import json

from dev.stack.clusters import Cluster, ClusterError
from dev.stack.stack import Stack
from dev.stack.surface import Surface

NAMESPACE = "arcbridge-system"
MARK = "arcbridge.io/demo"
RESOURCES = "crd/arcbridgeclusters.arcbridge.io"
DEMO_NAMESPACES = ("arcbridge-demo-web", "arcbridge-demo-motd")
WAIT = "--timeout=60s"
DO_NOT_WAIT = "--wait=false"


async def make_room(surface: Surface, cluster: Cluster) -> None:
    """Remove what an earlier demo left. Raises ClusterError for somebody else's ArcBridge."""
    found = await surface.kubectl(
        cluster, "get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "json"
    )
    if found.strip():
        labels = json.loads(found)["metadata"].get("labels", {})
        if MARK not in labels:
            raise ClusterError(
                f"{cluster.name} has an ArcBridge agent already, in the namespace {NAMESPACE}."
                " The demo leaves it alone: use another cluster"
            )
        await leave_clean(surface, cluster, WAIT)
    mark = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {MARK: "true"}},
    }
    await surface.kubectl(cluster, "create", "-f", "-", stdin=json.dumps(mark))


async def tidy_up(running: Stack, surface: Surface) -> None:
    """Leave the clusters of a kubeconfig as they were; the simulated ones end with the demo."""
    await running.stop_agents()
    simulated = running.settings.simulated_clusters
    existing = [each for each in running.clusters if each.name not in simulated]
    await asyncio.gather(*(leave_clean(surface, each, DO_NOT_WAIT) for each in existing))


async def leave_clean(surface: Surface, cluster: Cluster, wait: str) -> None:
    """Delete what the demo made in a cluster, once its agent is gone; `wait` is kubectl's flag."""
    await surface.kubectl(
        cluster, "delete", "--ignore-not-found", wait, RESOURCES,
        *(f"namespace/{name}" for name in (*DEMO_NAMESPACES, NAMESPACE)),
    )  # fmt: skip
    await surface.kubectl(
        cluster, "delete", "--ignore-not-found", wait,
        "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/part-of=arcbridge",
    )  # fmt: skip
    await surface.kubectl(
        cluster, "delete", "--ignore-not-found", wait, "-n", "default",
        "roles,rolebindings", "-l", "app.kubernetes.io/part-of=arcbridge",
    )  # fmt: skip
