"""What the leading replica does: find the cluster's resource, open the journal, be its member."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.clock import Clock
from agent.cluster.resource import API_VERSION, KIND, ClusterResource, InvalidCluster
from agent.enrol.installation import take_up_installation
from agent.errors import KubeError
from agent.journal.journal import Journal
from agent.kube.client import KubeClient
from agent.lease.record import Term
from agent.member import Member, NewReconciler, ResourceReplaced
from agent.metrics import AgentMetrics
from agent.settings import AgentProcessSettings
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

LOOK_SECONDS = 2.0


@dataclass
class Leader:
    """Leads for as long as it is let."""

    settings: AgentProcessSettings
    kube: KubeClient
    clock: Clock
    metrics: AgentMetrics
    new_reconciler: NewReconciler
    term: Callable[[], Term]
    """Of the lease that this replica leads by."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            resource = await self._find()
            async with Journal.open(self.settings.state_dir, self.clock) as journal:
                await journal.begin_term(self.term())
                member = Member(
                    self.settings,
                    self.kube,
                    self.clock,
                    self.metrics,
                    journal,
                    self.new_reconciler,
                    resource,
                )
                try:
                    await member.run()
                except ResourceReplaced as error:
                    log.info("begins anew", reason=str(error))
            await self.clock.sleep(LOOK_SECONDS)

    async def _find(self) -> ClusterResource:
        """Wait for the resource; what stands in the way is logged when it changes."""
        said = ""
        while True:
            found = await self._look()
            if isinstance(found, ClusterResource):
                return found
            if found != said:
                log.warning("no cluster to serve yet", reason=found)
                said = found
            await self.clock.sleep(LOOK_SECONDS)

    async def _look(self) -> ClusterResource | str:
        try:
            await take_up_installation(self.kube, self.settings.namespace)
            clusters = await self.kube.resource(API_VERSION, KIND)
            items = (await self.kube.list(clusters)).items
        except KubeError as error:
            return str(error)
        wanted = self.settings.cluster
        names = [item["metadata"]["name"] for item in items]
        matching = [i for i in items if wanted in (None, i["metadata"]["name"])]
        if not matching:
            return f"there is no {KIND}" + (f" {wanted}" if wanted else "")
        if len(matching) > 1:
            return f"there are several {KIND}s ({', '.join(names)}): set ARCBRIDGE_AGENT_CLUSTER"
        try:
            return ClusterResource.read(matching[0])
        except InvalidCluster as error:
            return f"{names[0]}: {error}"
