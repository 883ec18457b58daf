"""What the server itself fills in when it stores an object: addresses, ports, job selectors."""

from __future__ import annotations

import copy
import hashlib
from typing import Any, Final

from dev.kube.pod_defaults import quality_of_service
from dev.kube.schema import Json

_FIRST_NODE_PORT: Final = 30000
_NODE_PORTS: Final = 2768


#: What the server answers with before any controller has looked at the object.
_INITIAL_STATUS: Final[dict[str, Json]] = {
    "CronJob": {},
    "DaemonSet": {
        "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0,
        "numberReady": 0,
    },
    "Deployment": {},
    "HorizontalPodAutoscaler": {"currentMetrics": None, "desiredReplicas": 0},
    "Ingress": {"loadBalancer": {}},
    "Job": {},
    "Namespace": {"phase": "Active"},
    "PersistentVolume": {"phase": "Pending"},
    "PersistentVolumeClaim": {"phase": "Pending"},
    "Pod": {"phase": "Pending"},
    "PodDisruptionBudget": {
        "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
    },
    "ReplicaSet": {"replicas": 0},
    "ReplicationController": {"replicas": 0},
    "ResourceQuota": {},
    "Service": {"loadBalancer": {}},
    "StatefulSet": {"availableReplicas": 0, "replicas": 0},
}  # fmt: skip


def on_create(kind: str, obj: Json) -> None:
    """Fill a new object of a built-in kind, in place; it has its name and uid already."""
    if kind == "Service":
        _service(obj, {})
    elif kind == "Job":
        _job(obj)
    if kind in _INITIAL_STATUS:
        obj["status"] = copy.deepcopy(_INITIAL_STATUS[kind])
    if kind == "Pod":
        obj["status"]["qosClass"] = quality_of_service(obj["spec"])


def on_update(kind: str, old: Json, new: Json) -> None:
    """Keep what was allocated when an update leaves it out, in place."""
    if kind == "Service":
        _service(new, old.get("spec") or {})
    elif kind == "ServiceAccount" and "secrets" in old:
        new.setdefault("secrets", old["secrets"])


def _service(obj: Json, old: Json) -> None:
    spec, seed = obj["spec"], obj["metadata"].get("uid", "")
    if spec.get("type") == "ExternalName":
        for field in ("clusterIP", "clusterIPs"):
            spec.pop(field, None)
        return
    if not spec.get("clusterIP"):
        spec["clusterIP"] = old.get("clusterIP") or address("10.96", seed)
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", old.get("ipFamilies") or ["IPv4"])
    spec.setdefault("ipFamilyPolicy", old.get("ipFamilyPolicy") or "SingleStack")
    ports = spec.get("ports") or ()
    if spec.get("type") in {"NodePort", "LoadBalancer"}:
        before = {_port_key(port): port.get("nodePort") for port in old.get("ports") or ()}
        for port in ports:
            if not port.get("nodePort"):
                port["nodePort"] = before.get(_port_key(port)) or _node_port(seed, port)
    elif old.get("type") in {"NodePort", "LoadBalancer"}:
        for port in ports:
            port.pop("nodePort", None)


def _port_key(port: Json) -> tuple[Any, Any]:
    return port.get("port"), port.get("protocol")


def _node_port(seed: str, port: Json) -> int:
    return _FIRST_NODE_PORT + _number(f"{seed}/{_port_key(port)}") % _NODE_PORTS


def address(prefix: str, seed: str) -> str:
    """An IPv4 address under `A.B`, always the same for the same seed."""
    number = _number(seed)
    return f"{prefix}.{number // 254 % 254}.{number % 254 + 1}"


def _number(seed: str) -> int:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6])


def _job(obj: Json) -> None:
    spec = obj["spec"]
    if spec.get("manualSelector"):
        return
    uid, name = obj["metadata"]["uid"], obj["metadata"]["name"]
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    marks = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    for metadata in (obj["metadata"], spec["template"].setdefault("metadata", {})):
        metadata["labels"] = {**(metadata.get("labels") or {}), **marks}
