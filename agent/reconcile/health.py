"""Whether an extension's objects, taken together, are healthy, and which one is not and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.errors import KubeError
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.checks import NO_CHECKS, Checks
from agent.reconcile.objects import Object, ObjectKey
from agent.reconcile.readiness import ObjectStatus, Readiness, compute
from agent.reconcile.readiness_types import failed, text_at

_PODS = Resource("", "v1", "Pod", "pods", namespaced=True)
_WORKLOADS = frozenset({"DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"})
_SHOWN = 3


@dataclass(frozen=True)
class Health:
    """The objects that are not current, the worst first."""

    unready: tuple[tuple[ObjectKey, Readiness], ...] = ()

    @property
    def is_ready(self) -> bool:
        """True when there is nothing to wait for."""
        return not self.unready

    @property
    def has_failed(self) -> bool:
        """True when an object says that it will not get there by itself."""
        return any(state.status is ObjectStatus.FAILED for _, state in self.unready)

    def describe(self) -> str:
        """`Deployment shop/web: Available: 0/1`, for the first few."""
        told = [f"{key}: {state.message}" for key, state in self.unready[:_SHOWN]]
        if len(self.unready) > _SHOWN:
            told.append(f"and {len(self.unready) - _SHOWN} more")
        return "; ".join(told)


def judge(
    wanted: Iterable[ObjectKey], live: Mapping[ObjectKey, Object], checks: Checks = NO_CHECKS
) -> Health:
    """The health of the objects in `wanted`; what is not in `live` is not there."""
    found = [(key, checks.refine(key, live.get(key), _state_of(key, live))) for key in wanted]
    unready = [(key, state) for key, state in found if not state.is_current]
    unready.sort(key=lambda item: (item[1].status is not ObjectStatus.FAILED, item[0]))
    return Health(tuple(unready))


def _state_of(key: ObjectKey, live: Mapping[ObjectKey, Object]) -> Readiness:
    """kstatus' judgement, but for a pod that failed: there it is current, because it is over, and
    an extension that brought one is not well with it."""
    obj = live.get(key)
    state = compute(obj)
    if (key.group, key.kind) == ("", "Pod") and text_at(obj, "status", "phase") == "Failed":
        return failed("PodFailed", state.message) if state.is_current else state
    return state


async def explain(kube: KubeClient, health: Health, live: Mapping[ObjectKey, Object]) -> str:
    """What `describe` says, and what the pods of the first unready workload say, for example that
    an image cannot be pulled."""
    told = health.describe()
    for key, _ in health.unready:
        workload = live.get(key)
        if key.kind not in _WORKLOADS or workload is None:
            continue
        try:
            cause = await pod_trouble(kube, key, workload)
        except KubeError:
            return told
        return f"{told}; {cause}" if cause else told
    return told


async def pod_trouble(kube: KubeClient, key: ObjectKey, workload: Object) -> str:
    """What the newest pod of a workload that has trouble says of it; empty when none has."""
    labels = ((workload.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    if not labels:
        return ""
    selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
    page = await kube.list(_PODS, key.namespace, label_selector=selector)
    newest_first = sorted(
        page.items, key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True
    )
    return next((told for pod in newest_first if (told := trouble_of(pod))), "")


def trouble_of(pod: Object) -> str:
    """What keeps a pod from running, in its own words; empty when it says nothing."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or ():
            state = container.get("state") or {}
            told = state.get("waiting") or state.get("terminated") or {}
            if told.get("reason") in (None, "Completed", "ContainerCreating", "PodInitializing"):
                continue
            message = str(told.get("message") or "")[:300]
            detail = f" (exit status {told['exitCode']})" if told.get("exitCode") else ""
            detail += f": {message}" if message else ""
            return f"pod {name}, container {container.get('name')}: {told['reason']}{detail}"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"pod {name}: {condition.get('reason')}: {str(condition.get('message'))[:300]}"
    return ""
