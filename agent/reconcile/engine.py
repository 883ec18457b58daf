"""Keeps one worker per extension of the newest desired document.

It holds no state of its own that matters: documents come from outside, everything else is read from
the cluster. An extension that a document does not list is left alone, with all it has.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.clock import Clock
from agent.drivers.charts import Charts
from agent.drivers.download import Downloader, DownloadPolicy
from agent.drivers.helm import Helm
from agent.drivers.kustomize import Kustomize
from agent.drivers.overlays import Overlays
from agent.errors import KubeError
from agent.kube.client import KubeClient
from agent.reconcile.artifact_credentials import ArtifactCredentials
from agent.reconcile.belongings import Belongings
from agent.reconcile.drift import DriftChecker
from agent.reconcile.flux import flux_build
from agent.reconcile.helm_deployer import HelmDeployer
from agent.reconcile.manifest_deployer import Build, ManifestDeployer, kustomize_build
from agent.reconcile.own_chart import OwnChartDeployer
from agent.reconcile.owned import OwnedObjects, Sighting
from agent.reconcile.pulse import Intent
from agent.reconcile.record import ExtensionRecord, RecordStore, SourceKind
from agent.reconcile.referenced_secrets import ReferencedSecrets
from agent.reconcile.seam import (
    ExtensionStatus,
    ExtensionTally,
    ReconcileGate,
    ReconcileSettings,
    StatusSink,
)
from agent.reconcile.surroundings import Surroundings
from agent.reconcile.work import Deployer
from agent.reconcile.worker import Worker
from shared.contract.desired import DesiredDocument, DesiredState
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

_RETRY_SECONDS = 5.0


@dataclass(frozen=True)
class Drivers:
    """The tools that do the deploying."""

    helm: Helm
    charts: Charts
    kustomize: Kustomize
    overlays: Overlays

    @classmethod
    def from_settings(cls, settings: ReconcileSettings) -> Drivers:
        """The real tools with private directories below `work_dir`."""
        work_dir = settings.work_dir
        helm = Helm(settings.helm, work_dir, settings.kubeconfig, history_max=settings.history_max)
        downloader = Downloader(
            DownloadPolicy(
                hosts_allowed=settings.hosts_allowed,
                private_hosts=settings.private_hosts,
                private_networks=settings.private_networks,
                seconds=settings.tool_seconds,
            )
        )
        return cls(
            helm,
            Charts(downloader, work_dir / "charts"),
            Kustomize(settings.kubectl, work_dir, seconds=60.0),
            Overlays(
                downloader,
                work_dir / "overlays",
                git_limit=settings.git_limit_mib * 1024 * 1024,
            ),
        )


class Engine:
    """The reconciler of one cluster."""

    def __init__(
        self,
        *,
        kube: KubeClient,
        drivers: Drivers,
        sink: StatusSink,
        settings: ReconcileSettings,
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._sink = sink
        self._settings = settings
        self._clock = clock
        # Records are the agent's own; everything else is done in the reconciler's name.
        self._records = RecordStore(kube.acting_as(None), settings.state_namespace)
        self._belongings = Belongings(self._records)
        secrets = ReferencedSecrets(
            kube, self._belongings, termination_seconds=settings.termination_seconds
        )
        credentials = ArtifactCredentials(kube, settings.state_namespace)
        self._deployers: Mapping[SourceKind, Deployer] = {
            SourceKind.HELM: OwnChartDeployer(
                kube=kube,
                helm=HelmDeployer(
                    kube,
                    drivers.helm,
                    drivers.charts,
                    secrets,
                    credentials,
                    self._belongings,
                    prune_cap=settings.prune_cap,
                    own_pending_seconds=settings.own_pending_seconds,
                    foreign_pending_seconds=settings.foreign_pending_seconds,
                ),
                namespace=settings.state_namespace,
                cluster=settings.cluster,
            ),
            SourceKind.KUSTOMIZE: self._manifests(
                kustomize_build(kube, drivers.kustomize, drivers.overlays, credentials), secrets
            ),
            SourceKind.FLUX: self._manifests(flux_build(kube), secrets),
        }
        self._submitted: tuple[DesiredDocument, ReconcileGate] | None = None
        self._arrived = asyncio.Event()
        self._workers: dict[str, Worker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def _manifests(self, build: Build, secrets: ReferencedSecrets) -> ManifestDeployer:
        return ManifestDeployer(
            self._kube,
            build,
            secrets,
            self._belongings,
            prune_cap=self._settings.prune_cap,
            termination_seconds=self._settings.termination_seconds,
        )

    def submit(self, document: DesiredDocument, *, reconcile_allowed: ReconcileGate) -> None:
        """Take a complete document and the CR's gate; the newest wins; never blocks."""
        self._submitted = (document, reconcile_allowed)
        self._arrived.set()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._prepare(self._records)
        # A group that grows. It is sound in early releases of Python 3.11, too: this task never
        # leaves the block by itself, so a child that fails finds it inside.
        async with asyncio.TaskGroup() as group:
            owned = OwnedObjects(self._kube, group, self._tell)
            surroundings = Surroundings(
                kube=self._kube,
                deployers=self._deployers,
                records=self._records,
                belongings=self._belongings,
                sink=self._sink,
                settings=self._settings,
                clock=self._clock,
                drift=DriftChecker(
                    self._kube,
                    self._clock,
                    self._belongings,
                    termination_seconds=self._settings.termination_seconds,
                ),
                owned=owned,
                slots=asyncio.Semaphore(self._settings.concurrency),
                missing_dependency=self._missing_dependency,
                leaving_dependent=self._leaving_dependent,
                changed=self._nudge_all,
            )
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                self._assign(group, surroundings)

    def tell_again(self) -> None:
        """Report how every extension is; never blocks."""
        log.info("reports were lost, telling again", extensions=len(self._workers))
        for worker in self._workers.values():
            worker.tell_again()

    async def remove_all(self) -> AsyncIterator[tuple[str, str]]:
        """Take away everything that was ever applied here, dependents first; gives each
        extension's name and what is to be said of it. Not beside `run`. Raises AgentError."""
        for record in dependents_first(await self._records.load_all()):
            said = await self._deployers[record.source].remove(record)
            await self._records.forget(record.extension)
            yield record.extension, said

    def counters(self) -> ExtensionTally:
        """Numbers for the heartbeat; tombstones are not counted."""
        present = [w for w in self._workers.values() if _is_present(w)]
        return ExtensionTally(
            total=len(present),
            ready=sum(worker.is_ready for worker in present),
            failed=sum(_has_failed(worker) for worker in present),
            drifted=sum(worker.has_drifted for worker in present),
        )

    def statuses(self) -> tuple[ExtensionStatus, ...]:
        """One line per extension, in order of name."""
        return tuple(
            _status(self._workers[name])
            for name in sorted(self._workers)
            if _is_present(self._workers[name])
        )

    async def _prepare(self, records: RecordStore) -> None:
        """A clean work directory and the agent's namespace, however long the API server takes."""
        await asyncio.to_thread(_sweep, self._settings.work_dir)
        while True:
            try:
                await records.prepare()
            except KubeError as error:
                log.warning("cluster unreachable", error=str(error)[:300])
                await self._clock.sleep(_RETRY_SECONDS)
            else:
                return

    def _assign(self, group: asyncio.TaskGroup, surroundings: Surroundings) -> None:
        """Give each extension's worker its newest intent; end workers that have none."""
        if self._submitted is None:
            return
        document, gate = self._submitted
        listed = {extension.name: extension for extension in document.extensions}
        for name in [name for name in self._workers if name not in listed]:
            self._tasks.pop(name).cancel()
            del self._workers[name]
        for name, desired in listed.items():
            intent = Intent(desired, gate)
            if name in self._workers:
                self._workers[name].assign(intent)
            else:
                worker = Worker(name, surroundings, intent)
                self._workers[name] = worker
                self._tasks[name] = group.create_task(worker.run(), name=f"extension {name}")
        self._nudge_all()

    def _tell(self, extension: str, sighting: Sighting) -> None:
        worker = self._workers.get(extension)
        if worker is not None:
            worker.notice(sighting)

    def _nudge_all(self) -> None:
        for worker in self._workers.values():
            worker.nudge()

    def _missing_dependency(self, names: tuple[str, ...]) -> str | None:
        for name in names:
            worker = self._workers.get(name)
            if worker is None or not _is_present(worker):
                return f"It waits for {name}, which is not on this cluster"
            if not worker.is_ready:
                return f"It waits for {name} to be ready"
        return None

    def _leaving_dependent(self, name: str) -> str | None:
        leaving = [w for w in self._workers.values() if _is_leaving(w)]
        records = [w.record for w in leaving if w.record is not None]
        for record in dependents_first(records):
            if record.extension == name:
                return None if len(records) == len(leaving) else "It waits for the others' records"
            stuck = record.reason is ReasonCode.UNINSTALL_FAILED
            if name in record.depends_on and not stuck:
                return f"It waits for {record.extension} to be taken away"
        return None


def dependents_first(records: Sequence[ExtensionRecord]) -> list[ExtensionRecord]:
    """In the order of taking away: nothing goes before what depends on it. A cycle, which the
    control plane refuses, is cut by name."""
    left = {record.extension: record for record in records}
    ordered = []
    while left:
        needed = {name for record in left.values() for name in record.depends_on}
        free = sorted(left.keys() - needed) or sorted(left)[:1]
        ordered += [left.pop(name) for name in free]
    return ordered


def _sweep(work_dir: Path) -> None:
    """Remove what a killed agent left half-way."""
    for pattern in ("overlay-*", "values-*", "charts/*.partial", "overlays/tmp*", "overlays/git-*"):
        for left in work_dir.glob(pattern):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _is_present(worker: Worker) -> bool:
    return worker.intent.desired.state is DesiredState.PRESENT


def _is_leaving(worker: Worker) -> bool:
    left_alone = worker.held is ReasonCode.RELEASE_OUTDATED
    return not (_is_present(worker) or worker.is_gone or left_alone)


def _has_failed(worker: Worker) -> bool:
    return worker.record is not None and worker.record.phase is ExtensionPhase.FAILED


def _status(worker: Worker) -> ExtensionStatus:
    desired, record = worker.intent.desired, worker.record
    reason = worker.held or (record.reason if record else ReasonCode.PROGRESSING)
    return ExtensionStatus(
        name=worker.name,
        revision=desired.revision,
        ready=worker.is_ready and worker.held is None,
        reason=reason,
        message=worker.message,
    )
