"""Carries an upgrade of the agent out, watches for the new agent, and takes it back otherwise.

Runs in a Job, so that neither the old agent's end nor the new one's failure stops it. Every step
can be begun again: a pod that is killed half-way is followed by one that looks at what is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.cluster.resource import API_VERSION, KIND
from agent.drivers.helm import Helm, HelmTarget, Upgrade
from agent.errors import AgentError, KubeError, ToolError
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.releases import (
    DESCRIPTION,
    SECRETS,
    SPEC_LABEL,
    ReleaseState,
    load_revisions,
    state_of,
    unlocked,
)
from agent.upgrade.order import OrderStore, UpgradeOrder, UpgradeOutcome, UpgradePhase
from agent.upgrade.presence import DEPLOYMENTS, Presence
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

POLL_SECONDS = 1.0
HELM_SECONDS = 120.0
RETRY_SECONDS = 3.0
_CLUSTERS = Resource(API_VERSION.partition("/")[0], "v1", KIND, "arcbridgeclusters", False)


@dataclass(frozen=True)
class Watchman:
    """One order's."""

    kube: KubeClient
    helm: Helm
    orders: OrderStore
    as_user: str | None
    work_dir: Path

    async def carry_out(self) -> UpgradeOutcome | None:
        """Until the outcome stands in the order's Secret; None where there is nothing to do.

        Raises KubeError where not even that can be read or written.
        """
        found = await self.orders.load()
        if found is None or found[1].phase is not UpgradePhase.RUNNING:
            return None
        order, _ = found
        try:
            await self._upgrade(order)
            why = await self._await_agent(order)
        except (AgentError, OSError) as error:
            why = str(error)
        if why is None:
            outcome = UpgradeOutcome(phase=UpgradePhase.SUCCEEDED)
        else:
            log.warning("agent did not come back, going back", reason=why)
            outcome = await self._go_back(order, why)
        await self.orders.conclude(outcome)
        log.info("upgrade concluded", phase=outcome.phase.value)
        return outcome

    async def _upgrade(self, order: UpgradeOrder) -> None:
        revisions = await load_revisions(self.kube, order.namespace, order.release)
        if state_of(revisions, order.labels.get(SPEC_LABEL, "")) is ReleaseState.IN_SYNC:
            return  # by a pod of this Job that was killed afterwards
        await self._free(order)
        archive = self.work_dir / "agent.tgz"
        await asyncio.to_thread(archive.write_bytes, await self.orders.chart())
        await self.helm.upgrade(
            self._target(order),
            Upgrade(
                chart=archive,
                values=order.values,
                labels=order.labels,
                timeout_seconds=HELM_SECONDS,
                description=order.description,
                keep_values=True,
                take_ownership=order.previous is None,
            ),
        )

    async def _await_agent(self, order: UpgradeOrder) -> str | None:
        """None once the new agent is there and connected; otherwise why it is not."""
        presence = Presence(self.kube, order.namespace)
        why = "it could not be looked for"
        try:
            async with asyncio.timeout(order.deadline_seconds):
                while True:
                    try:
                        cluster = await self.kube.get(_CLUSTERS, order.cluster)
                        lacking = await presence.lacking(cluster)
                    except KubeError as error:
                        lacking = str(error)
                    if lacking is None:
                        return None
                    why = lacking
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            return f"no new agent was connected within {order.deadline_seconds:g} s: {why}"

    async def _go_back(self, order: UpgradeOrder, why: str) -> UpgradeOutcome:
        try:
            await self._free(order)
            if order.previous is None:
                await self._restore(order)
                back = "the Deployment is as it was"
            else:
                await self.helm.rollback(
                    self._target(order),
                    order.previous,
                    timeout_seconds=HELM_SECONDS,
                    description=f"{DESCRIPTION}: back, because {why}"[:256],
                )
                back = f"Helm revision {order.previous} is back"
        except (KubeError, ToolError) as error:
            return UpgradeOutcome(
                phase=UpgradePhase.ROLLBACK_FAILED,
                message=f"{why}; and going back failed: {error}"[:1000],
            )
        return UpgradeOutcome(phase=UpgradePhase.ROLLED_BACK, message=f"{why}; {back}"[:1000])

    async def _restore(self, order: UpgradeOrder) -> None:
        """Put the old Deployment back, and let no one take the new release for a good one."""
        live = await self.kube.get(DEPLOYMENTS, _name(order.deployment), order.namespace)
        live["spec"] = order.deployment["spec"]
        await self.kube.replace(DEPLOYMENTS, live)
        revisions = await load_revisions(self.kube, order.namespace, order.release)
        if revisions and revisions[0].status == "deployed":
            await self.kube.replace(SECRETS, unlocked(revisions[0], "The agent did not come back"))

    async def _free(self, order: UpgradeOrder) -> None:
        """A release that a killed pod of this Job left pending does not hinder the next one."""
        revisions = await load_revisions(self.kube, order.namespace, order.release)
        if revisions and state_of(revisions, "") is ReleaseState.PENDING:
            await self.kube.replace(SECRETS, unlocked(revisions[0], "Its helm was killed: freed"))

    def _target(self, order: UpgradeOrder) -> HelmTarget:
        return HelmTarget(order.release, order.namespace, self.as_user)


def _name(deployment: Mapping[str, object]) -> str:
    metadata = deployment.get("metadata")
    return str(metadata["name"]) if isinstance(metadata, dict) else ""
