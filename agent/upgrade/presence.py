"""Whether the agent that the Deployment asks for now is there, leads, and is connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.errors import KubeNotFound
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from shared.contract.status import ConditionType

DEPLOYMENT = "arcbridge-agent"
DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments", namespaced=True)
_REPLICA_SETS = Resource("apps", "v1", "ReplicaSet", "replicasets", namespaced=True)
_PODS = Resource("", "v1", "Pod", "pods", namespaced=True)
_HASH = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"

Object = dict[str, Any]


@dataclass(frozen=True)
class Presence:
    """Looks at one installation."""

    kube: KubeClient
    namespace: str

    async def lacking(self, cluster: Object) -> str | None:
        """What is still missing, None when nothing is. `cluster` is the ArcBridgeCluster, whose
        status names the agent that wrote it. Raises KubeError."""
        deployment = await self.kube.get(DEPLOYMENTS, DEPLOYMENT, self.namespace)
        if not _is_observed(deployment):
            return "the Deployment was not looked at yet"
        newest = await self._newest_hash(deployment)
        status = cluster.get("status") or {}
        instance = str((status.get("agent") or {}).get("instance", ""))
        if not newest or await self._hash_of(instance) != newest:
            return await self._trouble(newest) or "no pod of the new version leads yet"
        return _unconnected(status.get("conditions") or ())

    async def _newest_hash(self, deployment: Object) -> str:
        """That of the pods of the Deployment's present template."""
        page = await self.kube.list(_REPLICA_SETS, self.namespace)
        uid = deployment["metadata"].get("uid")
        own = [
            item
            for item in page.items
            if any(o.get("uid") == uid for o in item["metadata"].get("ownerReferences") or ())
        ]
        newest: Object = max(own, key=_revision, default={"metadata": {}})
        return str((newest["metadata"].get("labels") or {}).get(_HASH, ""))

    async def _hash_of(self, pod: str) -> str:
        try:
            found = await self.kube.get(_PODS, pod, self.namespace) if pod else {"metadata": {}}
        except KubeNotFound:
            return ""
        return str((found["metadata"].get("labels") or {}).get(_HASH, ""))

    async def _trouble(self, newest: str) -> str | None:
        """What the newest pods' containers wait for."""
        selector = f"{_HASH}={newest}"
        for pod in (await self.kube.list(_PODS, self.namespace, label_selector=selector)).items:
            for container in (pod.get("status") or {}).get("containerStatuses") or ():
                waiting = (container.get("state") or {}).get("waiting") or {}
                reason = waiting.get("reason", "")
                if reason and reason not in ("ContainerCreating", "PodInitializing"):
                    return f"pod {pod['metadata']['name']}: {reason} {waiting.get('message', '')}"
        return None


def _is_observed(deployment: Object) -> bool:
    seen = (deployment.get("status") or {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"].get("generation", 0))


def _revision(replica_set: Object) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get(_REVISION, "0")
    return int(text) if str(text).isdigit() else 0


def _unconnected(conditions: Sequence[Object]) -> str | None:
    for condition in conditions:
        if condition.get("type") == ConditionType.CONNECTED.value:
            if condition.get("status") == "True":
                return None
            return f"it is not connected: {condition.get('reason')} {condition.get('message', '')}"
    return "it is not connected yet"
