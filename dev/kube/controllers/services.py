"""Services: endpoints of ready pods, and an address for load balancers and ingresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dev.kube.allocate import address
from dev.kube.controllers.common import MANAGER, PODS, deleting, is_true, owner_reference
from dev.kube.resources import ObjectKey
from dev.kube.schema import Json
from dev.kube.store import Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

SERVICES: Final = ("", "services")
ENDPOINTS: Final = ("", "endpoints")
SLICES: Final = ("discovery.k8s.io", "endpointslices")
INGRESSES: Final = ("networking.k8s.io", "ingresses")


def reconcile_service(cluster: Cluster, key: ObjectKey) -> None:
    """Write a Service's Endpoints, EndpointSlice and load balancer address."""
    record = cluster.get(SERVICES, key)
    if record is None:
        cluster.delete(ENDPOINTS, key)
        return
    service = record.obj
    if deleting(service):
        return
    selector = service["spec"].get("selector")
    if selector:
        pods = [pod.obj for pod in _selected(cluster, key[0], selector)]
        _write(cluster, ENDPOINTS, _endpoints(service, pods))
        _write(cluster, SLICES, _slice(service, pods))
    if service["spec"]["type"] == "LoadBalancer":
        ingress = [{"ip": address("203.0", service["metadata"]["uid"]), "ipMode": "VIP"}]
        cluster.set_status(SERVICES, record, {"loadBalancer": {"ingress": ingress}}, "cloud")
    elif not service.get("status"):
        cluster.set_status(SERVICES, record, {"loadBalancer": {}}, MANAGER)


def _selected(cluster: Cluster, namespace: str, selector: dict[str, str]) -> list[Record]:
    return [
        pod
        for pod in cluster.store.bucket(PODS).after(namespace, None)
        if selector.items() <= (pod.obj["metadata"].get("labels") or {}).items()
        and (pod.obj.get("status") or {}).get("podIP")
        and pod.obj["status"].get("phase") == "Running"
        and not deleting(pod.obj)
    ]


def _target(pod: Json) -> Json:
    names = pod["metadata"]
    reference = {key: names[key] for key in ("name", "namespace", "uid")}
    return {"kind": "Pod", **reference}


def _port_number(port: Json, pods: list[Json]) -> int:
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for offered in container.get("ports") or ():
                if offered.get("name") == target:
                    return int(offered["containerPort"])
    return int(port["port"])


def _ports(service: Json, pods: list[Json]) -> list[Json]:
    return [
        {
            **({"name": port["name"]} if port.get("name") else {}),
            "port": _port_number(port, pods),
            "protocol": port["protocol"],
        }
        for port in service["spec"].get("ports") or ()
    ]


def _endpoints(service: Json, pods: list[Json]) -> Json:
    groups: dict[str, list[Any]] = {"addresses": [], "notReadyAddresses": []}
    for pod in pods:
        group = "addresses" if is_true(pod, "Ready") else "notReadyAddresses"
        entry = {"ip": pod["status"]["podIP"], "targetRef": _target(pod)}
        groups[group].append({**entry, "nodeName": pod["spec"]["nodeName"]})
    subset = {name: found for name, found in groups.items() if found}
    result: Json = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": _metadata(service, service["metadata"]["name"]),
    }
    if subset:
        result["subsets"] = [{**subset, "ports": _ports(service, pods)}]
    return result


def _metadata(service: Json, name: str, **labels: str) -> Json:
    inherited = service["metadata"].get("labels") or {}
    return {
        "name": name,
        "namespace": service["metadata"]["namespace"],
        "labels": {**inherited, **labels},
    }


def _slice(service: Json, pods: list[Json]) -> Json:
    name = service["metadata"]["name"]
    labels = {
        "kubernetes.io/service-name": name,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    metadata = _metadata(service, f"{name}-sim", **labels)
    metadata["ownerReferences"] = [owner_reference(service)]
    endpoints = []
    for pod in pods:
        ready = is_true(pod, "Ready")
        endpoints.append({
            "addresses": [pod["status"]["podIP"]],
            "conditions": {"ready": ready, "serving": ready, "terminating": False},
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": _target(pod),
        })  # fmt: skip
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "", **port} for port in _ports(service, pods)],
    }


def _write(cluster: Cluster, storage: tuple[str, str], wanted: Json) -> None:
    key = (wanted["metadata"]["namespace"], wanted["metadata"]["name"])
    record = cluster.get(storage, key)
    if record is None:
        cluster.create(storage, wanted, MANAGER)
        return
    metadata = {**record.obj["metadata"], **wanted["metadata"]}
    cluster.rewrite(storage, record, {**wanted, "metadata": metadata}, MANAGER)


def reconcile_ingress(cluster: Cluster, key: ObjectKey) -> None:
    """Give an Ingress its address."""
    record = cluster.get(INGRESSES, key)
    if record is not None and not deleting(record.obj):
        ingress = [{"ip": address("203.0", record.obj["metadata"]["uid"])}]
        status = {"loadBalancer": {"ingress": ingress}}
        cluster.set_status(INGRESSES, record, status, "ingress-controller")
