"""What the agent knows of its cluster: version, distribution, and which cluster it is."""

from __future__ import annotations

from agent import __version__
from agent.errors import KubeForbidden, KubeNotFound
from agent.inventory.describe import distribution
from agent.kube.client import KubeClient
from shared.contract.registration import ClusterFacts

_CHARACTERS = 128


async def cluster_facts(kube: KubeClient) -> ClusterFacts:
    """Ask the API server. Raises KubeError when it does not answer; what may not be read is
    left empty."""
    version = str((await kube.version()).get("gitVersion", ""))
    return ClusterFacts(
        kubernetes_version=version[:_CHARACTERS],
        distribution=await _distribution(kube, version),
        agent_version=__version__,
        cluster_uid=(await _cluster_uid(kube))[:_CHARACTERS],
    )


async def _distribution(kube: KubeClient, version: str) -> str:
    labels: dict[str, str] = {}
    provider = ""
    try:
        nodes = await kube.list(await kube.resource("v1", "Node"), limit=1)
    except (KubeForbidden, KubeNotFound):
        nodes = None
    for node in nodes.items if nodes else ():
        labels = node.get("metadata", {}).get("labels") or {}
        provider = str((node.get("spec") or {}).get("providerID", ""))
    return distribution(version, labels, provider)


async def _cluster_uid(kube: KubeClient) -> str:
    try:
        namespace = await kube.get(await kube.resource("v1", "Namespace"), "kube-system")
    except (KubeForbidden, KubeNotFound):
        return ""
    return str(namespace["metadata"].get("uid", ""))
