"""`python -m agent uninstall`: take away all that extensions brought to this cluster.

For the administrator who lets go of ArcBridge and wants nothing of it to stay. What is there is
read from the agent's own records, so no control plane is needed. It refuses while an
ArcBridgeCluster is there: its agent would bring back what is taken away.
"""

from __future__ import annotations

import sys

from agent.cluster.resource import API_VERSION, KIND
from agent.errors import AgentError, KubeNotFound
from agent.kube.client import KubeClient
from agent.process import reconcilers
from agent.reconcile.seam import EventDraft
from agent.settings import AgentProcessSettings


class StillConnected(AgentError):
    """The cluster has an ArcBridgeCluster."""


class _Unheard:
    """Nobody is told: the control plane is let go of."""

    async def record(self, draft: EventDraft) -> None:
        return


async def uninstall(settings: AgentProcessSettings) -> None:
    """Remove everything, a line for each extension. Raises AgentError at the first that stays."""
    async with await KubeClient.connect(settings.kubeconfig) as kube:
        await _refuse_while_connected(kube)
        engine = reconcilers(settings, kube)(_Unheard())
        async for extension, said in engine.remove_all():
            sys.stdout.write(f"{extension}: {said}\n")
            sys.stdout.flush()


async def _refuse_while_connected(kube: KubeClient) -> None:
    try:
        found = (await kube.list(await kube.resource(API_VERSION, KIND))).items
    except KubeNotFound:
        return
    if found:
        name = found[0]["metadata"]["name"]
        raise StillConnected(
            f"delete the {KIND} first (kubectl delete arcbridgecluster {name}): its agent would"
            " bring back what is taken away"
        )
