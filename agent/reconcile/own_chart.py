"""The agent's own chart: like any other Helm extension, but for the moments in which that would
saw off the branch the agent sits on.

An extension is the agent's own by its name and namespace. Its install and upgrade are carried out
by a Job (`agent.upgrade`), which this one orders and waits for, over its own end if need be: the
agent that is there afterwards finds the order and how it went. Removing it takes nothing away.
What the cluster's own resource says of the cluster is stronger than the extension's values: the
control plane cannot lift what the cluster's administrator has restricted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from agent.cluster.resource import API_VERSION, KIND, ClusterResource, InvalidCluster
from agent.errors import KubeAlreadyExists, KubeNotFound, StepFailed
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.helm_deployer import HelmDeployer
from agent.reconcile.objects import HELM_NAME_ANNOTATION, Object
from agent.reconcile.record import ExtensionRecord
from agent.reconcile.releases import (
    DESCRIPTION,
    OWNER_LABEL,
    SPEC_LABEL,
    Revision,
    load_revisions,
    spec_mark,
)
from agent.reconcile.work import Action, Applied, Work
from agent.upgrade.job import upgrade_job
from agent.upgrade.order import OrderStore, UpgradeOrder, UpgradeOutcome, UpgradePhase
from agent.upgrade.presence import DEPLOYMENT, DEPLOYMENTS
from shared.contract.reasons import ReasonCode
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

RELEASE = "arcbridge-agent"
"""Name of the extension, and of the release, that is the agent itself."""
STAYS = "The agent stays: it is removed by the cluster's administrator (docs/agent.md)"
_JOBS = Resource("batch", "v1", "Job", "jobs", namespaced=True)
_CLUSTERS = Resource(API_VERSION.partition("/")[0], "v1", KIND, "arcbridgeclusters", False)
_POLL_SECONDS = 0.5
_LOOK_SECONDS = 5.0
"""How often it is seen to that the Job is there."""
_SPARE_SECONDS = 300.0
"""For the Job's pod to start, for helm, and for going back."""
_GONE = {"type": "Failed", "status": "True", "reason": "Deleted", "message": "it is gone"}


@dataclass(frozen=True)
class OwnChartDeployer:
    """Hands everything to `helm` but the agent's own chart."""

    kube: KubeClient
    helm: HelmDeployer
    namespace: str
    """The agent's own."""
    cluster: str | None
    """Name of the ArcBridgeCluster, where the cluster has several."""

    async def plan(self, work: Work) -> Action:
        """What `deploy` would do; an upgrade that was ordered and is not over goes on."""
        action = await self.helm.plan(work)
        if not self._is_own(work.name, work.spec.namespace):
            return action
        found = await self._orders().load()
        if found is None or found[0].id != _order_id(work):
            return action
        return Action.NONE if found[1].phase is UpgradePhase.SUCCEEDED else Action.UPGRADE

    async def rehearse(self, work: Work) -> None:
        """Fail as `deploy` would; the agent's own chart is tried by the Job. Raises StepFailed."""
        if not self._is_own(work.name, work.spec.namespace):
            await self.helm.rehearse(work)

    async def deploy(self, work: Work, action: Action) -> Applied:
        """Do it; the agent's own chart by a Job. Raises StepFailed when that went back."""
        if not self._is_own(work.name, work.spec.namespace) or action is Action.NONE:
            return await self.helm.deploy(work, action)
        if work.allowed_namespaces is not None:
            raise StepFailed(
                ReasonCode.NAMESPACE_FORBIDDEN,
                "the agent's chart has cluster-scoped objects, which the cluster's"
                " allowedNamespaces do not permit",
                final=True,
            )
        outcome = await self._upgrade(work)
        if outcome.phase is not UpgradePhase.SUCCEEDED:
            raise StepFailed(ReasonCode.UPGRADE_FAILED, outcome.message, final=True)
        return await self.helm.deploy(work, Action.NONE)

    async def remove(self, record: ExtensionRecord) -> str:
        """Take the extension away; the agent itself only lets go of its release."""
        if self._is_own(record.extension, record.namespace):
            return STAYS
        return await self.helm.remove(record)

    def _is_own(self, extension: str, namespace: str) -> bool:
        return (extension, namespace) == (RELEASE, self.namespace)

    def _orders(self) -> OrderStore:
        return OrderStore(self.kube, self.namespace)

    async def _upgrade(self, work: Work) -> UpgradeOutcome:
        wanted, orders = _order_id(work), self._orders()
        seconds = work.spec.readiness.timeout.total_seconds()
        found = await orders.load()
        if found is not None and found[0].id != wanted:
            # One at a time; what nobody works at any more is not begun again for the newer one.
            await self._concluded(found[0].id, found[0].deadline_seconds, begin=False)
        if found is None or found[0].id != wanted:
            await self._order(work, wanted, seconds)
        return await self._concluded(wanted, seconds)

    async def _order(self, work: Work, wanted: str, seconds: float) -> None:
        chart = await self.helm.obtain(work)
        deployment, cluster = await self._deployment(), await self._cluster()
        await self.helm.replace_crds(work, chart, ReasonCode.UPGRADE_FAILED)
        revisions = await load_revisions(self.kube, self.namespace, RELEASE)
        order = UpgradeOrder(
            id=wanted,
            cluster=cluster.name,
            release=RELEASE,
            namespace=self.namespace,
            values={**work.spec.values, **own_values(cluster)},
            labels={OWNER_LABEL: RELEASE, SPEC_LABEL: spec_mark(work.content_digest)},
            description=f"{DESCRIPTION} {work.desired.revision}",
            deadline_seconds=seconds,
            previous=_last_deployed(revisions),
            deployment={
                "metadata": {"name": DEPLOYMENT},
                "spec": deployment["spec"],
            },
        )
        try:
            _job(order)
        except KeyError as error:
            raise StepFailed(
                ReasonCode.UPGRADE_FAILED,
                f"the Deployment {DEPLOYMENT} is not the agent's: it has no {error.args[0]}",
                final=True,
            ) from error
        content = await asyncio.to_thread(chart.path.read_bytes)
        await self._orders().place(order, content)
        log.info("upgrade of the agent ordered", revision=work.desired.revision)

    async def _see_to_the_job(self, order: UpgradeOrder, *, begin: bool) -> None:
        """Make the order's Job where it is missing: this agent was killed before it had made it,
        or someone deleted it half-way. One that gave up is not begun again."""
        job = _job(order)
        name = job["metadata"]["name"]
        try:
            live = await self.kube.get(_JOBS, name, self.namespace)
        except KubeNotFound:
            if begin:
                await self._begin(job)
                return
            live = {"status": {"conditions": [_GONE]}}
        why = _gave_up(live)
        if why is not None:
            message = f"the Job {name} gave up ({why}): see docs/agent.md for the way back"
            outcome = UpgradeOutcome(phase=UpgradePhase.ROLLBACK_FAILED, message=message)
            await self._orders().conclude(outcome)

    async def _begin(self, job: Object) -> None:
        try:
            await self.kube.create(_JOBS, job)
        except KubeAlreadyExists:
            return
        log.info("job of the agent's upgrade made", job=job["metadata"]["name"])

    async def _concluded(
        self, order_id: str, seconds: float, *, begin: bool = True
    ) -> UpgradeOutcome:
        """How an order went; it is seen to that somebody carries it out."""
        clock = asyncio.get_running_loop().time
        deadline, look = clock() + seconds + _SPARE_SECONDS, clock()
        while True:
            found = await self._orders().load()
            if found is None or found[0].id != order_id:
                return UpgradeOutcome(phase=UpgradePhase.ROLLED_BACK, message="its order is gone")
            if found[1].phase is not UpgradePhase.RUNNING:
                return found[1]
            if clock() >= look:
                look = clock() + _LOOK_SECONDS
                await self._see_to_the_job(found[0], begin=begin)
            if clock() > deadline:
                outcome = UpgradeOutcome(
                    phase=UpgradePhase.ROLLED_BACK,
                    message="no Job carried the upgrade out: see Jobs and Events in "
                    + self.namespace,
                )
                await self._orders().conclude(outcome)
                return outcome
            await asyncio.sleep(_POLL_SECONDS)

    async def _deployment(self) -> Object:
        try:
            live = await self.kube.get(DEPLOYMENTS, DEPLOYMENT, self.namespace)
        except KubeNotFound as error:
            raise StepFailed(
                ReasonCode.UPGRADE_FAILED,
                f"there is no Deployment {DEPLOYMENT} in {self.namespace}: this agent is not"
                " upgraded from inside",
                final=True,
            ) from error
        owner = (live["metadata"].get("annotations") or {}).get(HELM_NAME_ANNOTATION, RELEASE)
        if owner != RELEASE:
            raise StepFailed(
                ReasonCode.UPGRADE_FAILED,
                f"the agent was installed as the Helm release {owner}: install it as {RELEASE},"
                " and it can be upgraded from the control plane",
                final=True,
            )
        return live

    async def _cluster(self) -> ClusterResource:
        items = (await self.kube.list(_CLUSTERS)).items
        matching = [i for i in items if self.cluster in (None, i["metadata"]["name"])]
        if len(matching) != 1:
            raise StepFailed(ReasonCode.UPGRADE_FAILED, f"which {KIND} is this agent's?")
        try:
            return ClusterResource.read(matching[0])
        except InvalidCluster as error:
            raise StepFailed(ReasonCode.UPGRADE_FAILED, str(error)) from error


def own_values(cluster: ClusterResource) -> dict[str, Any]:
    """The chart's values that are this cluster's own. The token is spent: none is set."""
    spec = cluster.spec
    return {
        "controlPlaneUrl": spec.control_plane_url,
        "caPin": spec.ca_pin,
        "clusterName": spec.cluster_name,
        "tenant": spec.tenant or "",
        "labels": dict(spec.labels),
        "allowedNamespaces": None,
        "existingSecret": spec.bootstrap_secret,
        "token": "",
    }


def _job(order: UpgradeOrder) -> Object:
    """Of the pod as it was when the upgrade was ordered, whatever the Deployment says by now."""
    return upgrade_job(order.deployment, order.id, order.namespace, order.deadline_seconds)


def _gave_up(job: Object) -> str | None:
    """Why, for a Job that nobody works at any more and that did not end well."""
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Failed" and condition.get("status") == "True":
            return f"{condition.get('reason')}: {condition.get('message', '')}"
    return None


def _order_id(work: Work) -> str:
    return f"{work.desired.generation}-{spec_mark(work.content_digest)[:16]}"


def _last_deployed(revisions: list[Revision]) -> int | None:
    return next((r.version for r in revisions if r.status == "deployed"), None)
