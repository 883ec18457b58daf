"""Columns of the built-in kinds, as `kubectl get` and `kubectl get -o wide` show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dev.kube.fieldset import compact
from dev.kube.jsonpath import first_value
from dev.kube.resources import Column, StorageKey
from dev.kube.schema import Json


def _path(path: str, fallback: Any = "") -> Callable[[Json], Any]:
    def read(obj: Json) -> Any:
        value = first_value(obj, path)
        return fallback if value is None else value

    return read


def _text(name: str, read: str | Callable[[Json], Any], fallback: Any = "<none>") -> Column:
    return Column(name, "string", _path(read, fallback) if isinstance(read, str) else read)


def _number(name: str, path: str) -> Column:
    return Column(name, "integer", _path(path, 0))


def _wide(column: Column) -> Column:
    return Column(column.name, column.type, column.read, priority=1)


AGE: Final = Column("Age", "date", _path(".metadata.creationTimestamp"))
AGE_ONLY: Final = (AGE,)


def _containers(obj: Json) -> list[Json]:
    spec = obj.get("spec") or {}
    template = (spec.get("template") or {}).get("spec")
    found: list[Json] = (template or spec).get("containers") or []
    return found


def _names(obj: Json) -> str:
    return ",".join(item.get("name", "") for item in _containers(obj))


def _images(obj: Json) -> str:
    return ",".join(item.get("image", "") for item in _containers(obj))


def _selector(obj: Json) -> str:
    selector = (obj.get("spec") or {}).get("selector") or {}
    labels = selector.get("matchLabels", {}) if "matchLabels" in selector else selector
    shown = ",".join(f"{key}={value}" for key, value in sorted(labels.items()) if key[0] != "{")
    return shown if shown else "<none>"


_TEMPLATE: Final = (
    _wide(_text("Containers", _names)),
    _wide(_text("Images", _images)),
    _wide(_text("Selector", _selector)),
)


def _fraction(part: str, whole: str) -> Callable[[Json], str]:
    return lambda obj: f"{first_value(obj, part) or 0}/{first_value(obj, whole) or 0}"


def _pod_ready(obj: Json) -> str:
    statuses = (obj.get("status") or {}).get("containerStatuses") or ()
    return f"{sum(bool(item.get('ready')) for item in statuses)}/{len(_containers(obj))}"


def _pod_status(obj: Json) -> str:
    status = obj.get("status") or {}
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    shown = str(status.get("reason") or status.get("phase") or "Unknown")
    for item in status.get("containerStatuses") or ():
        state = item.get("state") or {}
        inner = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        shown = inner or shown
    return shown


def _restarts(obj: Json) -> str:
    statuses = (obj.get("status") or {}).get("containerStatuses") or ()
    return str(sum(item.get("restartCount", 0) for item in statuses))


def _node_status(obj: Json) -> str:
    ready = first_value(obj, ".status.conditions[?(@.type=='Ready')].status")
    shown = "Ready" if ready == "True" else "NotReady"
    return shown + (",SchedulingDisabled" if first_value(obj, ".spec.unschedulable") else "")


def _node_roles(obj: Json) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels") or {}
    return ",".join(sorted(key[len(prefix) :] for key in labels if key.startswith(prefix))) or (
        "<none>"
    )


def _service_ports(obj: Json) -> str:
    shown = []
    for port in (obj.get("spec") or {}).get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or "<none>"


def _external(obj: Json) -> str:
    ingress = first_value(obj, ".status.loadBalancer.ingress") or ()
    shown = ",".join(item.get("ip") or item.get("hostname") or "" for item in ingress)
    if shown:
        return shown
    waiting = first_value(obj, ".spec.type") == "LoadBalancer"
    return "<pending>" if waiting else first_value(obj, ".spec.externalName") or "<none>"


def _job_status(obj: Json) -> str:
    for kind in ("Complete", "Failed"):
        if first_value(obj, f".status.conditions[?(@.type=='{kind}')].status") == "True":
            return kind
    return "Suspended" if first_value(obj, ".spec.suspend") else "Running"


def _claim_capacity(obj: Json) -> str:
    return str(first_value(obj, ".status.capacity.storage") or "")


def _modes(obj: Json) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX"}
    modes = first_value(obj, ".spec.accessModes") or ()
    return ",".join(short.get(mode, mode) for mode in modes)


def _endpoints(obj: Json) -> str:
    shown = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or ()
    ]
    more = f" + {len(shown) - 3} more..." if len(shown) > 3 else ""
    return ",".join(shown[:3]) + more if shown else "<none>"


def _hosts(obj: Json) -> str:
    rules = (obj.get("spec") or {}).get("rules") or ()
    return ",".join(rule["host"] for rule in rules if rule.get("host")) or "*"


def _ingress_ports(obj: Json) -> str:
    return "80, 443" if (obj.get("spec") or {}).get("tls") else "80"


def _role(obj: Json) -> str:
    reference = obj.get("roleRef") or {}
    return f"{reference.get('kind')}/{reference.get('name')}"


def _target(obj: Json) -> str:
    target = (obj.get("spec") or {}).get("scaleTargetRef") or {}
    return f"{target.get('kind')}/{target.get('name')}"


def _size(*fields: str) -> Callable[[Json], int]:
    return lambda obj: sum(len(obj.get(field) or ()) for field in fields)


def _event_object(obj: Json) -> str:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _last_seen(obj: Json) -> Any:
    return obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"]["creationTimestamp"]


BUILTIN_COLUMNS: Final[dict[StorageKey, tuple[Column, ...]]] = {
    ("", "pods"): (
        _text("Ready", _pod_ready),
        _text("Status", _pod_status),
        _text("Restarts", _restarts),
        AGE,
        _wide(_text("IP", ".status.podIP")),
        _wide(_text("Node", ".spec.nodeName")),
        _wide(_text("Nominated Node", ".status.nominatedNodeName")),
        _wide(_text("Readiness Gates", lambda obj: "<none>")),
    ),
    ("", "nodes"): (
        _text("Status", _node_status),
        _text("Roles", _node_roles),
        AGE,
        _text("Version", ".status.nodeInfo.kubeletVersion"),
        _wide(_text("Internal-IP", ".status.addresses[?(@.type=='InternalIP')].address")),
        _wide(_text("External-IP", lambda obj: "<none>")),
        _wide(_text("OS-Image", ".status.nodeInfo.osImage")),
        _wide(_text("Kernel-Version", ".status.nodeInfo.kernelVersion")),
        _wide(_text("Container-Runtime", ".status.nodeInfo.containerRuntimeVersion")),
    ),
    ("", "namespaces"): (_text("Status", ".status.phase"), AGE),
    ("", "configmaps"): (Column("Data", "integer", _size("data", "binaryData")), AGE),
    ("", "secrets"): (_text("Type", ".type"), Column("Data", "integer", _size("data")), AGE),
    ("", "serviceaccounts"): (Column("Secrets", "integer", _size("secrets")), AGE),
    ("", "services"): (
        _text("Type", ".spec.type"),
        _text("Cluster-IP", ".spec.clusterIP"),
        _text("External-IP", _external),
        _text("Port(s)", _service_ports),
        AGE,
        _wide(_text("Selector", _selector)),
    ),
    ("", "endpoints"): (_text("Endpoints", _endpoints), AGE),
    ("", "events"): (
        Column("Last Seen", "date", _last_seen),
        _text("Type", ".type", ""),
        _text("Reason", ".reason", ""),
        _text("Object", _event_object),
        _text("Message", ".message", ""),
    ),
    ("", "persistentvolumeclaims"): (
        _text("Status", ".status.phase"),
        _text("Volume", ".spec.volumeName", ""),
        _text("Capacity", _claim_capacity),
        _text("Access Modes", _modes),
        _text("StorageClass", ".spec.storageClassName", ""),
        AGE,
    ),
    ("", "persistentvolumes"): (
        _text("Capacity", ".spec.capacity.storage"),
        _text("Access Modes", _modes),
        _text("Reclaim Policy", ".spec.persistentVolumeReclaimPolicy"),
        _text("Status", ".status.phase"),
        _text("Claim", ".spec.claimRef.name", ""),
        _text("StorageClass", ".spec.storageClassName", ""),
        AGE,
    ),
    ("", "replicationcontrollers"): (
        _number("Desired", ".spec.replicas"),
        _number("Current", ".status.replicas"),
        _number("Ready", ".status.readyReplicas"),
        AGE,
        *_TEMPLATE,
    ),
    ("apps", "deployments"): (
        _text("Ready", _fraction(".status.readyReplicas", ".spec.replicas")),
        _number("Up-to-date", ".status.updatedReplicas"),
        _number("Available", ".status.availableReplicas"),
        AGE,
        *_TEMPLATE,
    ),
    ("apps", "replicasets"): (
        _number("Desired", ".spec.replicas"),
        _number("Current", ".status.replicas"),
        _number("Ready", ".status.readyReplicas"),
        AGE,
        *_TEMPLATE,
    ),
    ("apps", "statefulsets"): (
        _text("Ready", _fraction(".status.readyReplicas", ".spec.replicas")),
        AGE,
        *_TEMPLATE[:2],
    ),
    ("apps", "daemonsets"): (
        _number("Desired", ".status.desiredNumberScheduled"),
        _number("Current", ".status.currentNumberScheduled"),
        _number("Ready", ".status.numberReady"),
        _number("Up-to-date", ".status.updatedNumberScheduled"),
        _number("Available", ".status.numberAvailable"),
        _text(
            "Node Selector",
            lambda obj: (
                ",".join(
                    f"{key}={value}"
                    for key, value in (
                        first_value(obj, ".spec.template.spec.nodeSelector") or {}
                    ).items()
                )
                or "<none>"
            ),
        ),
        AGE,
        *_TEMPLATE,
    ),
    ("apps", "controllerrevisions"): (
        _text("Controller", ".metadata.ownerReferences[0].name"),
        _number("Revision", ".revision"),
        AGE,
    ),
    ("batch", "jobs"): (
        _text("Status", _job_status),
        _text("Completions", _fraction(".status.succeeded", ".spec.completions")),
        AGE,
        *_TEMPLATE,
    ),
    ("batch", "cronjobs"): (
        _text("Schedule", ".spec.schedule"),
        _text("Timezone", ".spec.timeZone"),
        Column("Suspend", "boolean", _path(".spec.suspend", False)),
        _number("Active", ".status.active"),
        AGE,
    ),
    ("networking.k8s.io", "ingresses"): (
        _text("Class", ".spec.ingressClassName"),
        _text("Hosts", _hosts),
        _text("Address", _external),
        _text("Ports", _ingress_ports),
        AGE,
    ),
    ("networking.k8s.io", "networkpolicies"): (
        _text("Pod-Selector", lambda obj: compact((obj.get("spec") or {}).get("podSelector"))),
        AGE,
    ),
    ("networking.k8s.io", "ingressclasses"): (_text("Controller", ".spec.controller"), AGE),
    ("policy", "poddisruptionbudgets"): (
        _text("Min Available", ".spec.minAvailable", "N/A"),
        _text("Max Unavailable", ".spec.maxUnavailable", "N/A"),
        _number("Allowed Disruptions", ".status.disruptionsAllowed"),
        AGE,
    ),
    ("rbac.authorization.k8s.io", "rolebindings"): (_text("Role", _role), AGE),
    ("rbac.authorization.k8s.io", "clusterrolebindings"): (_text("Role", _role), AGE),
    ("rbac.authorization.k8s.io", "roles"): (_text("Created At", ".metadata.creationTimestamp"),),
    ("rbac.authorization.k8s.io", "clusterroles"): (
        _text("Created At", ".metadata.creationTimestamp"),
    ),
    ("autoscaling", "horizontalpodautoscalers"): (
        _text("Reference", _target),
        _number("MinPods", ".spec.minReplicas"),
        _number("MaxPods", ".spec.maxReplicas"),
        _number("Replicas", ".status.currentReplicas"),
        AGE,
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions"): (
        _text("Created At", ".metadata.creationTimestamp"),
    ),
    ("apiregistration.k8s.io", "apiservices"): (
        _text("Service", ".spec.service.name", "Local"),
        _text("Available", ".status.conditions[?(@.type=='Available')].status"),
        AGE,
    ),
    ("coordination.k8s.io", "leases"): (_text("Holder", ".spec.holderIdentity", ""), AGE),
    ("storage.k8s.io", "storageclasses"): (
        _text("Provisioner", ".provisioner"),
        _text("ReclaimPolicy", ".reclaimPolicy"),
        _text("VolumeBindingMode", ".volumeBindingMode"),
        AGE,
    ),
    ("scheduling.k8s.io", "priorityclasses"): (
        _number("Value", ".value"),
        Column("Global-Default", "boolean", _path(".globalDefault", False)),
        AGE,
    ),
    ("discovery.k8s.io", "endpointslices"): (
        _text("AddressType", ".addressType"),
        _text("Ports", ".ports[0].port"),
        _text("Endpoints", ".endpoints[0].addresses[0]"),
        AGE,
    ),
    ("certificates.k8s.io", "certificatesigningrequests"): (
        AGE,
        _text("SignerName", ".spec.signerName"),
        _text("Requestor", ".spec.username"),
    ),
}
