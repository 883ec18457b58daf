"""What a cluster holds from the start: namespaces, nodes, the `kubernetes` Service, roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dev.kube.allocate import address
from dev.kube.controllers.common import NODES
from dev.kube.controllers.namespaces import NAMESPACES, furnish
from dev.kube.controllers.roles import default_roles
from dev.kube.rbac import CLUSTER_ROLES
from dev.kube.schema import Json

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

_NAMESPACES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")
_MANAGER: Final = "kube-apiserver"
_SERVICES: Final = ("", "services")
_CLASSES: Final = ("storage.k8s.io", "storageclasses")


def bootstrap(cluster: Cluster) -> None:
    """Make what is missing of a new cluster; an old one is left as it is."""
    if cluster.store.bucket(NAMESPACES).records:
        return
    for name in _NAMESPACES:
        cluster.create(NAMESPACES, {"metadata": {"name": name}}, _MANAGER)
        furnish(cluster, name)
    for number in range(cluster.settings.node_count):
        add_node(cluster, f"node-{number + 1}", control_plane=number == 0)
    service = {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": "10.96.0.1",
            "ports": [{"name": "https", "port": 443, "targetPort": 6443}],
        },
    }
    cluster.create(_SERVICES, service, _MANAGER)
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    storage = {
        "metadata": {"name": "standard", "annotations": default},
        "provisioner": "sim.arcbridge.io/host-path",
    }
    cluster.create(_CLASSES, storage, _MANAGER)
    for role in default_roles().values():
        cluster.create(CLUSTER_ROLES, role, _MANAGER)


def add_node(cluster: Cluster, name: str, *, control_plane: bool = False) -> None:
    """Add a ready node."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }
    if control_plane:
        labels["node-role.kubernetes.io/control-plane"] = ""
    record = cluster.create(NODES, {"metadata": {"name": name, "labels": labels}}, "kubelet")
    if record is not None:
        cluster.set_status(NODES, record, _node_status(cluster, name), "kubelet")


def _node_status(cluster: Cluster, name: str) -> Json:
    now = cluster.now()
    quantities = {"cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    conditions = [
        {
            "type": kind,
            "status": "True" if kind == "Ready" else "False",
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        for kind, reason, message in (
            ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory"),
            ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ("Ready", "KubeletReady", "kubelet is posting ready status"),
        )
    ]
    return {
        "addresses": [
            {"type": "InternalIP", "address": address("192.168", name)},
            {"type": "Hostname", "address": name},
        ],
        "allocatable": quantities,
        "capacity": quantities,
        "conditions": conditions,
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": "",
            "containerRuntimeVersion": "sim://1.0",
            "kernelVersion": "6.12.0",
            "kubeProxyVersion": "",
            "kubeletVersion": f"v{cluster.settings.version}",
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": "Simulated Linux",
            "systemUUID": "",
        },
    }
