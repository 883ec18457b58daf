"""DaemonSets: one pod on every node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.kube.controllers.common import (
    DAEMON_SETS,
    MANAGER,
    NODES,
    PODS,
    children,
    deleting,
    is_true,
    pod_from_template,
    scaled,
    template_hash,
)
from dev.kube.controllers.stateful import REVISION_LABEL
from dev.kube.resources import ObjectKey
from dev.kube.schema import Json
from dev.kube.store import Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster


def reconcile_daemon_set(cluster: Cluster, key: ObjectKey) -> None:
    """Give every eligible node its pod, replacing outdated ones a few at a time."""
    record = cluster.get(DAEMON_SETS, key)
    if record is None:
        return
    owner = record.obj
    nodes = _eligible_nodes(cluster, owner["spec"]["template"]["spec"])
    wanted = template_hash(owner["spec"]["template"])
    if not deleting(owner):
        _place(cluster, owner, nodes, wanted)
    record = cluster.get(DAEMON_SETS, key)
    if record is not None:
        _report(cluster, record, nodes, wanted)


def _eligible_nodes(cluster: Cluster, spec: Json) -> list[str]:
    selector = spec.get("nodeSelector") or {}
    return [
        node.key[1]
        for node in cluster.store.bucket(NODES).after(None, None)
        if selector.items() <= (node.obj["metadata"].get("labels") or {}).items()
    ]


def _hash_of(pod: Record) -> str:
    return str((pod.obj["metadata"].get("labels") or {}).get(REVISION_LABEL, ""))


def _place(cluster: Cluster, owner: Json, nodes: list[str], wanted: str) -> None:
    pods = children(cluster, PODS, owner)
    by_node = {pod.obj["spec"].get("nodeName"): pod for pod in pods}
    for pod in pods:
        if pod.obj["spec"].get("nodeName") not in nodes:
            cluster.delete(PODS, pod.key)
    for node in nodes:
        if node not in by_node:
            name = f"{owner['metadata']['name']}-"
            labels = {REVISION_LABEL: wanted}
            template = owner["spec"]["template"]
            new = pod_from_template(owner, template, generateName=name, labels=labels)
            new["spec"]["nodeName"] = node
            cluster.create(PODS, new, MANAGER)
    strategy = owner["spec"]["updateStrategy"]
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        allowed = max(scaled(rolling.get("maxUnavailable", 1), len(nodes), up=True), 1)
        _replace(cluster, owner, wanted, allowed)


def _replace(cluster: Cluster, owner: Json, wanted: str, allowed: int) -> None:
    pods = children(cluster, PODS, owner)
    down = sum(not is_true(pod.obj, "Ready") or deleting(pod.obj) for pod in pods)
    for pod in pods:
        if _hash_of(pod) == wanted or deleting(pod.obj):
            continue
        if not is_true(pod.obj, "Ready"):
            cluster.delete(PODS, pod.key)
        elif down < allowed:
            down += 1
            cluster.delete(PODS, pod.key)


def _report(cluster: Cluster, record: Record, nodes: list[str], wanted: str) -> None:
    pods = [pod for pod in children(cluster, PODS, record.obj) if not deleting(pod.obj)]
    ready = sum(is_true(pod.obj, "Ready") for pod in pods)
    status = {
        "observedGeneration": record.obj["metadata"]["generation"],
        "desiredNumberScheduled": len(nodes),
        "currentNumberScheduled": len(pods),
        "updatedNumberScheduled": sum(_hash_of(pod) == wanted for pod in pods),
        "numberMisscheduled": 0,
        "numberReady": ready,
        "numberAvailable": ready,
        "numberUnavailable": len(nodes) - ready,
    }
    optional = {"updatedNumberScheduled", "numberAvailable", "numberUnavailable"}
    status = {name: count for name, count in status.items() if count or name not in optional}
    cluster.set_status(DAEMON_SETS, record, status, MANAGER)
