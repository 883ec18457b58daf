"""What the inventory keeps of each kind: little, and nothing secret. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Object = dict[str, Any]
Described = dict[str, Any]

_QUANTITY = re.compile(r"([0-9.]+)(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?")
_SCALE: dict[str, Decimal] = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** (n + 1) for n, unit in enumerate("kMGTPE")},
    **{f"{unit}i": Decimal(1024) ** (n + 1) for n, unit in enumerate("KMGTPE")},
}


@dataclass(frozen=True)
class InventoryKind:
    """One kind of the inventory and where it comes from."""

    name: str
    """As the inventory calls it."""
    api_version: str
    kind: str
    describe: Callable[[Object], Described]
    label_selector: str = ""
    metadata_only: bool = False
    """True where the object's own content is not needed: it is then not even fetched."""
    as_reconciler: bool = False
    """Listed in the name that extensions are applied in, because the agent's own may not."""


def node(obj: Object) -> Described:
    """A node: whether it is ready, what it has, what it runs."""
    status = obj.get("status") or {}
    info = status.get("nodeInfo") or {}
    capacity = status.get("capacity") or {}
    return {
        "ready": any(
            c.get("type") == "Ready" and c.get("status") == "True"
            for c in status.get("conditions") or ()
        ),
        "cpuMillicores": int(quantity(capacity.get("cpu")) * 1000),
        "memoryBytes": int(quantity(capacity.get("memory"))),
        "kubeletVersion": info.get("kubeletVersion", ""),
        "architecture": info.get("architecture", ""),
        "osImage": info.get("osImage", ""),
    }


def workload(obj: Object) -> Described:
    """A Deployment, StatefulSet or DaemonSet: how many pods it wants and has."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    desired = status.get("desiredNumberScheduled", spec.get("replicas", 1))
    ready = status.get("readyReplicas", status.get("numberReady", 0))
    return {"desired": desired, "ready": ready}


def helm_release(obj: Object) -> Described:
    """One stored revision of a Helm release, from its labels; its content is never read."""
    labels = (obj.get("metadata") or {}).get("labels") or {}
    version = str(labels.get("version", "0"))
    return {
        "status": labels.get("status", ""),
        "revision": int(version) if version.isdecimal() else 0,
    }


def bare(obj: Object) -> Described:
    """That it exists."""
    return {}


KINDS = (
    InventoryKind("Node", "v1", "Node", node),
    InventoryKind("Namespace", "v1", "Namespace", bare, metadata_only=True),
    InventoryKind(
        "HelmRelease",
        "v1",
        "Secret",
        helm_release,
        "owner=helm",
        metadata_only=True,
        as_reconciler=True,
    ),
    InventoryKind(
        "CustomResourceDefinition",
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        bare,
        metadata_only=True,
    ),
    InventoryKind("Deployment", "apps/v1", "Deployment", workload),
    InventoryKind("StatefulSet", "apps/v1", "StatefulSet", workload),
    InventoryKind("DaemonSet", "apps/v1", "DaemonSet", workload),
)
"""In the order in which they are kept when there is more than an inventory may hold."""


def quantity(text: object) -> Decimal:
    """A Kubernetes quantity such as `500m`, `16Gi`; 0 for what is not one."""
    match = _QUANTITY.fullmatch(str(text)) if text is not None else None
    if match is None:
        return Decimal(0)
    try:
        return Decimal(match[1]) * _SCALE[match[2] or ""]
    except InvalidOperation:
        return Decimal(0)


_BY_VERSION = (
    ("+k3s", "k3s"),
    ("+rke2", "rke2"),
    ("-eks-", "eks"),
    ("-gke.", "gke"),
    ("+vmware", "tanzu"),
    ("+k0s", "k0s"),
)
_BY_NODE_LABEL = (
    ("kubernetes.azure.com/cluster", "aks"),
    ("node.openshift.io/os_id", "openshift"),
    ("microk8s.io/cluster", "microk8s"),
    ("minikube.k8s.io/name", "minikube"),
)


def distribution(git_version: str, node_labels: dict[str, str], provider_id: str) -> str:
    """Which distribution of Kubernetes this is, as far as it shows; empty when it does not."""
    for mark, name in _BY_VERSION:
        if mark in git_version:
            return name
    for label, name in _BY_NODE_LABEL:
        if label in node_labels:
            return name
    return "kind" if provider_id.startswith("kind://") else ""
