"""The scheduler and the kubelet: pods get a node, start after a delay, and stop quickly.

A pod whose image is named `broken` (name or tag) never starts. A pod that is not to be restarted
ends: well, or badly when its command is `false` or ends in `exit N`.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from dev.kube.allocate import address
from dev.kube.controllers.common import NODES, PODS, deleting, is_true, with_condition
from dev.kube.controllers.events import warn
from dev.kube.resources import ObjectKey
from dev.kube.schema import Json
from dev.kube.store import Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

DELAY_ANNOTATION: Final = "arcbridge.io/ready-delay"
_STOP_SECONDS: Final = 0.05
_KUBELET, _SCHEDULER = "kubelet", "kube-scheduler"


def reconcile_pod(cluster: Cluster, key: ObjectKey) -> None:
    """Move one pod on to its next phase, if its time has come."""
    record = cluster.get(PODS, key)
    if record is None:
        cluster.due.pop(key, None)
        return
    pod = record.obj
    if deleting(pod):
        _stop(cluster, key, record)
    elif not pod["spec"].get("nodeName"):
        _schedule(cluster, record)
    elif (phase := pod["status"].get("phase", "Pending")) == "Pending":
        _start(cluster, key, record)
    elif phase == "Running" and pod["spec"].get("restartPolicy") != "Always":
        _finish(cluster, key, record)


def _stop(cluster: Cluster, key: ObjectKey, record: Record) -> None:
    if not record.obj["metadata"].get("deletionGracePeriodSeconds"):
        return
    if not _elapsed(cluster, key, record, "stop", _STOP_SECONDS):
        return
    metadata = {**record.obj["metadata"], "deletionGracePeriodSeconds": 0}
    stopped = {**record.obj, "metadata": metadata}
    cluster.rewrite(PODS, record, stopped, _KUBELET, "status")
    if not metadata.get("finalizers"):
        cluster.store.remove(PODS, key)


def _schedule(cluster: Cluster, record: Record) -> None:
    wanted = record.obj["spec"].get("nodeSelector") or {}
    nodes = [
        node.key[1]
        for node in cluster.store.bucket(NODES).after(None, None)
        if not (node.obj.get("spec") or {}).get("unschedulable")
        and is_true(node.obj, "Ready")
        and wanted.items() <= (node.obj["metadata"].get("labels") or {}).items()
    ]
    status = dict(record.obj["status"])
    if not nodes or record.obj["spec"].get("schedulingGates"):
        known = len(cluster.store.bucket(NODES).records)
        text = f"0/{known} nodes are available: none is ready and matches the pod's node selector"
        status["conditions"] = with_condition(
            status.get("conditions"), "PodScheduled", "False", "Unschedulable", text, cluster.now()
        )
        cluster.set_status(PODS, record, status, _SCHEDULER)
        warn(cluster, record.obj, "FailedScheduling", text, _SCHEDULER)
        return
    node = nodes[record.version % len(nodes)]
    status["conditions"] = _conditions(record.obj, cluster.now(), scheduled=True)
    bound = {**record.obj, "spec": {**record.obj["spec"], "nodeName": node}, "status": status}
    cluster.store.put(PODS, {**bound, "metadata": dict(bound["metadata"])})


def _start(cluster: Cluster, key: ObjectKey, record: Record) -> None:
    pod = record.obj
    broken = [item for item in _all_containers(pod["spec"]) if is_broken(item["image"])]
    if broken:
        cluster.set_status(PODS, record, _waiting_status(cluster, pod), _KUBELET)
        text = f'Failed to pull image "{broken[0]["image"]}": not found'
        warn(cluster, pod, "Failed", text, _KUBELET)
        return
    if not _elapsed(cluster, key, record, "start", ready_delay(cluster, pod)):
        return
    cluster.set_status(PODS, record, _running_status(cluster, pod), _KUBELET)


def _finish(cluster: Cluster, key: ObjectKey, record: Record) -> None:
    if not _elapsed(cluster, key, record, "finish", ready_delay(cluster, record.obj)):
        return
    code = max(exit_code(item) for item in record.obj["spec"]["containers"])
    cluster.set_status(PODS, record, _ended_status(cluster, record.obj, code), _KUBELET)


def _elapsed(cluster: Cluster, key: ObjectKey, record: Record, step: str, seconds: float) -> bool:
    """Has `seconds` passed since this step was first asked for? Sets the timer if not."""
    mark = f"{record.obj['metadata']['uid']}/{step}"
    known, due = cluster.due.get(key, ("", 0.0))
    if known != mark:
        due = cluster.hub.time() + seconds
        cluster.due[key] = (mark, due)
    left = due - cluster.hub.time()
    if left > 0:
        cluster.hub.add_after(left, reconcile_pod, key)
        return False
    return True


def ready_delay(cluster: Cluster, pod: Json) -> float:
    """Seconds until this pod is ready."""
    text = (pod["metadata"].get("annotations") or {}).get(DELAY_ANNOTATION)
    try:
        return float(text) if text is not None else cluster.settings.ready_delay
    except ValueError:
        return cluster.settings.ready_delay


def is_broken(image: str) -> bool:
    """An image that cannot be pulled: its last name or its tag is `broken`."""
    name = image.split("@", 1)[0].rsplit("/", 1)[-1]
    return "broken" in name.split(":")


def exit_code(container: Json) -> int:
    """How a container's command ends: 0 unless it plainly fails."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    if not words:
        return 0
    found = re.search(r"(?:^|[\s;&|])exit\s+(\d+)\s*;?\s*$", words[-1])
    if found:
        return int(found[1])
    return 1 if words[-1].strip().rsplit("/", 1)[-1] == "false" else 0


def _all_containers(spec: Json) -> list[Json]:
    return [*(spec.get("initContainers") or ()), *spec["containers"]]


def _conditions(
    pod: Json, now: str, *, scheduled: bool = False, ready: bool = False, reason: str = ""
) -> list[Json]:
    conditions = (pod.get("status") or {}).get("conditions")
    text = f"containers with unready status: [{' '.join(_names(pod))}]" if not ready else ""
    if not scheduled or ready or reason:
        state, why = ("True", "") if ready else ("False", reason or "ContainersNotReady")
        started = "True" if ready or reason == "PodCompleted" else "False"
        for kind, value in (
            ("PodReadyToStartContainers", started),
            ("Initialized", "True"),
            ("Ready", state),
            ("ContainersReady", state),
        ):
            shown = value == "False"
            conditions = with_condition(
                conditions, kind, value, why if shown else "", text if shown else "", now
            )
    conditions = with_condition(conditions, "PodScheduled", "True", "", "", now)
    return [{key: value for key, value in item.items() if value} for item in conditions]


def _names(pod: Json) -> list[str]:
    return [item["name"] for item in pod["spec"]["containers"]]


def _base_status(cluster: Cluster, pod: Json) -> Json:
    host = address("192.168", pod["spec"]["nodeName"])
    own = address("10.244", pod["metadata"]["uid"])
    return {
        **pod["status"],
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": own,
        "podIPs": [{"ip": own}],
        "startTime": pod["status"].get("startTime") or cluster.now(),
    }


def _container_status(pod: Json, container: Json, state: Json, **more: object) -> Json:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "started": False,
        "restartCount": 0,
        "state": state,
        "lastState": {},
        **more,
    }


def _waiting_status(cluster: Cluster, pod: Json) -> Json:
    statuses = []
    for container in pod["spec"]["containers"]:
        reason, message = "ContainerCreating", ""
        if is_broken(container["image"]):
            reason = "ImagePullBackOff"
            message = f'Back-off pulling image "{container["image"]}"'
        waiting = {"reason": reason, **({"message": message} if message else {})}
        statuses.append(_container_status(pod, container, {"waiting": waiting}))
    conditions = _conditions(pod, cluster.now(), reason="ContainersNotReady")
    status = {**_base_status(cluster, pod), "conditions": conditions}
    return {**status, "phase": "Pending", "containerStatuses": statuses}


def _image_id(image: str) -> str:
    return f"{image.split('@')[0]}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _running_status(cluster: Cluster, pod: Json) -> Json:
    now = cluster.now()
    statuses = [
        _container_status(
            pod,
            container,
            {"running": {"startedAt": now}},
            ready=True,
            started=True,
            imageID=_image_id(container["image"]),
            containerID=f"sim://{pod['metadata']['uid']}/{container['name']}",
        )
        for container in pod["spec"]["containers"]
    ]
    conditions = _conditions(pod, now, ready=True)
    status = {**_base_status(cluster, pod), "conditions": conditions}
    return {**status, "phase": "Running", "containerStatuses": statuses}


def _ended_status(cluster: Cluster, pod: Json, code: int) -> Json:
    now = cluster.now()
    statuses = []
    for container, old in zip(
        pod["spec"]["containers"], pod["status"]["containerStatuses"], strict=True
    ):
        ended = {
            "exitCode": exit_code(container),
            "reason": "Error" if exit_code(container) else "Completed",
            "startedAt": old["state"].get("running", {}).get("startedAt", now),
            "finishedAt": now,
        }
        statuses.append({**old, "ready": False, "started": False, "state": {"terminated": ended}})
    conditions = _conditions(pod, now, reason="PodFailed" if code else "PodCompleted")
    phase = "Failed" if code else "Succeeded"
    return {
        **pod["status"],
        "phase": phase,
        "conditions": conditions,
        "containerStatuses": statuses,
    }
