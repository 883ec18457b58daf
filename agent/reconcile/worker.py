"""One extension on this cluster: pursues the newest intent until it is reached, then guards it.

There is one worker per extension, so nothing of an extension is ever worked on twice at once. A
newer intent takes over between steps; a step that has begun ends first. Everything the worker knows
it can read again from the cluster, so it may die at any point.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from agent.clock import Clock
from agent.errors import AgentError, KubeError, StepFailed
from agent.kube.client import KubeClient
from agent.reconcile import conditions
from agent.reconcile.drift import DriftChecker
from agent.reconcile.guard import Guard
from agent.reconcile.health import explain
from agent.reconcile.live import load_live, resources_of
from agent.reconcile.observed import ObservedObjects
from agent.reconcile.owned import OwnedObjects, Sighting
from agent.reconcile.record import ExtensionRecord, RecordStore, SourceKind
from agent.reconcile.reporter import Reporter
from agent.reconcile.seam import ReconcileGate, ReconcileSettings, StatusSink
from agent.reconcile.work import Action, Applied, Deployer, Work, account_user
from shared.contract.desired import DesiredExtension, DesiredState
from shared.contract.extension import ResolvedSpec
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.contract.status import StepSeconds
from shared.telemetry.logs import get_logger
from shared.telemetry.tracing import span

log = get_logger(__name__)

_POLL_SECONDS = 5.0
"""While something is waited for, look again this often even if no watch says anything."""
_CRASH_SECONDS = 10.0
_HEALTH_REASONS = frozenset({ReasonCode.HEALTH_CHECK_FAILED, ReasonCode.READINESS_TIMED_OUT})


@dataclass(frozen=True)
class Intent:
    """What should be, and what the cluster allows."""

    desired: DesiredExtension
    gate: ReconcileGate


@dataclass(frozen=True)
class Surroundings:
    """What every worker shares."""

    kube: KubeClient
    deployers: Mapping[SourceKind, Deployer]
    records: RecordStore
    sink: StatusSink
    settings: ReconcileSettings
    clock: Clock
    drift: DriftChecker
    owned: OwnedObjects
    slots: asyncio.Semaphore
    """How many extensions are applied at once; waiting for readiness takes no slot."""
    missing_dependency: Callable[[tuple[str, ...]], str | None]
    """A sentence about the first dependency that is not ready, or None."""
    changed: Callable[[], None]
    """Tells that a worker's state changed, for those that depend on it."""


class Superseded(Exception):
    """The intent that is being worked on is not the newest any more."""


class Settled(Exception):
    """The verdict is told: there is nothing to do until a newer intent comes."""


class Worker:
    """Pursues one extension. `assign` and `notice` may be called at any time from the loop."""

    def __init__(self, name: str, surroundings: Surroundings, intent: Intent) -> None:
        self.name = name
        self._s = surroundings
        self._intent = intent
        self._wake = asyncio.Event()
        self._observed = ObservedObjects()
        self._reporter: Reporter | None = None
        self._guard: Guard | None = None
        self.held: ReasonCode | None = None
        """Why the worker does nothing, while the cluster's gate is closed."""

    @property
    def intent(self) -> Intent:
        """The newest."""
        return self._intent

    @property
    def record(self) -> ExtensionRecord | None:
        """What was last reported, or None before anything was."""
        return self._reporter.record if self._reporter else None

    @property
    def message(self) -> str:
        """What was last said."""
        return self._reporter.message if self._reporter else ""

    @property
    def is_ready(self) -> bool:
        """Ready as the newest intent asks."""
        record = self.record
        return (
            record is not None
            and record.phase is ExtensionPhase.READY
            and record.is_for(self._intent.desired)
        )

    @property
    def has_drifted(self) -> bool:
        """The last check found differences."""
        return self._guard is not None and self._guard.has_drifted

    def assign(self, intent: Intent) -> None:
        """Take a newer intent; the same one again changes nothing."""
        if intent != self._intent:
            self._intent = intent
            self._wake.set()

    def notice(self, sighting: Sighting) -> None:
        """Take what a watch saw."""
        if self._observed.take(sighting):
            self._wake.set()

    def nudge(self) -> None:
        """Look again: a dependency changed."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled. Whatever goes wrong is told, waited out, and tried anew."""
        while True:
            intent = self._intent
            try:
                with span(
                    "extension.reconcile",
                    parent=intent.desired.traceparent,
                    attributes={"arcbridge.extension": self.name},
                ):
                    guard = await self._pursue(intent)
                await self._keep(intent, guard)
            except Superseded:
                continue
            except Settled:
                with suppress(Superseded):
                    await self._keep(intent, None)
            except KubeError as error:
                log.warning("cluster unreachable", extension=self.name, error=str(error)[:300])
                await self._wait(_POLL_SECONDS)
            except Exception:
                # A supervisor: one extension's defect must not stop the others.
                log.exception("worker failed, starting again", extension=self.name)
                await asyncio.sleep(_CRASH_SECONDS)

    async def _pursue(self, intent: Intent) -> Guard | None:
        """Reach the intent; the guard of what stands there, None when there is nothing to guard."""
        reporter = await self._load(intent)
        self._guard = None
        await self._pass_gate(intent, reporter)
        if intent.desired.state is DesiredState.ABSENT or intent.desired.spec is None:
            await self._remove(intent, reporter)
            return None
        if _is_verdict(reporter.record, intent.desired):
            await self._repeat_verdict(intent, reporter)
            return None
        if not _is_released(reporter.record, intent.desired):
            await self._await_dependencies(intent, reporter, intent.desired.spec)
        applied = await self._deploy(intent, reporter, intent.desired.spec)
        if applied is None:
            return None
        return await self._settle(intent, reporter, intent.desired.spec, applied)

    async def _load(self, intent: Intent) -> Reporter:
        if self._reporter is None:
            record = await self._s.records.load(self.name)
            record = record or ExtensionRecord(
                extension=self.name,
                source=_kind_of(intent.desired.spec),
                namespace=intent.desired.spec.namespace if intent.desired.spec else "default",
            )
            self._reporter = Reporter(self._s.sink, self._s.records, self._s.clock, record)
        return self._reporter

    async def _pass_gate(self, intent: Intent, reporter: Reporter) -> None:
        """Wait while the cluster asks not to be touched."""
        while (closed := _closed(intent.gate, self._s.clock)) is not None:
            reason, message, seconds = closed
            if self.held is not reason:
                self.held = reason
                self._s.changed()
                if not reporter.record.is_for(intent.desired):
                    await reporter.report(
                        intent.desired, ExtensionPhase.APPLYING, reason, message,
                        conditions.applying(reason, message),
                    )  # fmt: skip
            await self._wait(seconds)
            self._stop_if_superseded(intent)
        self.held = None

    async def _await_dependencies(
        self, intent: Intent, reporter: Reporter, spec: ResolvedSpec
    ) -> None:
        while (lacking := self._s.missing_dependency(spec.depends_on)) is not None:
            await reporter.report(
                intent.desired,
                ExtensionPhase.APPLYING,
                ReasonCode.DEPENDENCY_NOT_READY,
                lacking,
                conditions.applying(ReasonCode.DEPENDENCY_NOT_READY, lacking),
            )
            await self._wait(_POLL_SECONDS)
            self._stop_if_superseded(intent)

    async def _deploy(
        self, intent: Intent, reporter: Reporter, spec: ResolvedSpec
    ) -> tuple[Applied, Action] | None:
        """Attempt after attempt; None once they are used up and the verdict is told."""
        resumed = reporter.record.attempt if reporter.record.is_for(intent.desired) else 1
        for attempt in range(resumed, self._s.settings.max_attempts + 1):
            self._stop_if_superseded(intent)
            try:
                async with self._s.slots:
                    return await self._attempt(intent, reporter, spec, attempt)
            except (StepFailed, KubeError) as error:
                failure = _as_failure(error, reporter.record)
            last = failure.final or attempt == self._s.settings.max_attempts
            verdicts = conditions.not_released(failure.reason, str(failure), retrying=not last)
            phase = ExtensionPhase.FAILED if last else ExtensionPhase.APPLYING
            await reporter.report(
                intent.desired, phase, failure.reason, str(failure), verdicts, attempt=attempt
            )
            self._s.changed()
            if not last:
                await self._wait_unless_superseded(intent, self._pause(attempt))
        return None

    async def _attempt(
        self, intent: Intent, reporter: Reporter, spec: ResolvedSpec, attempt: int
    ) -> tuple[Applied, Action]:
        desired, kind = intent.desired, _kind_of(spec)
        await self._leave_old_place(reporter, kind, spec)
        work = Work(
            desired=desired,
            spec=spec,
            record=reporter.record,
            allowed_namespaces=intent.gate.allowed_namespaces,
            attempt=attempt,
            save=reporter.save,
        )
        deployer = self._s.deployers[kind]
        action = await deployer.plan(work)
        told = reporter.record.is_for(desired) and action is Action.NONE
        if attempt == 1 and not told:
            message = f"Revision {desired.revision}: {action.value}"
            await reporter.report(
                desired, ExtensionPhase.APPLYING, ReasonCode.PROGRESSING, message,
                conditions.applying(ReasonCode.PROGRESSING, message),
            )  # fmt: skip
            self._s.changed()
        work = Work(**{**vars(work), "record": reporter.record})
        with span("extension.apply", attributes={"arcbridge.action": action.value}):
            applied = await deployer.deploy(work, action)
        return applied, action

    async def _leave_old_place(
        self, reporter: Reporter, kind: SourceKind, spec: ResolvedSpec
    ) -> None:
        """An extension that changed its source's kind, or a release its namespace, starts anew."""
        record = reporter.record
        moved = kind is SourceKind.HELM and record.namespace != spec.namespace
        as_user = account_user(spec.namespace, spec.service_account)
        if record.source is kind and not moved:
            await reporter.remember(as_user=as_user)
            return
        if record.generation:
            await self._s.deployers[record.source].remove(record)
        await reporter.save(
            record.model_copy(
                update={
                    "source": kind,
                    "namespace": spec.namespace,
                    "as_user": as_user,
                    "inventory": (),
                    "content_digest": None,
                }
            )
        )

    async def _settle(
        self,
        intent: Intent,
        reporter: Reporter,
        spec: ResolvedSpec,
        outcome: tuple[Applied, Action],
    ) -> Guard:
        """Wait until the objects are ready, or say why they are not."""
        applied, action = outcome
        started = self._s.clock.monotonic()
        live = applied.live or await load_live(self._s.kube, self.name, applied.objects)
        self._observed.expect(applied.objects, live)
        for resource in await resources_of(self._s.kube, applied.objects):
            self._s.owned.follow(resource)
        guard = Guard(self._s, reporter, self._observed, applied)
        self._guard = guard
        if action is Action.NONE and _is_released(reporter.record, intent.desired):
            # It was ready, or was told not to be, before: the guard sees to what changed since.
            guard.resume()
            return guard
        with span("extension.ready"):
            await self._until_ready(intent, spec.readiness.timeout)
        seconds = StepSeconds(
            fetch=round(applied.fetch_seconds, 3),
            apply=round(applied.apply_seconds, 3),
            ready=round(self._s.clock.monotonic() - started, 3),
        )
        health = self._observed.health()
        if health.is_ready and applied.prove is not None:
            await self._prove(intent, reporter, applied.prove, seconds)
        if health.is_ready:
            reason = _success(action, reporter.record, intent.desired)
            await guard.report_ready(intent.desired, reason, seconds)
        else:
            reason = (
                ReasonCode.HEALTH_CHECK_FAILED
                if health.has_failed
                else ReasonCode.READINESS_TIMED_OUT
            )
            message = await explain(self._s.kube, health, self._observed.live)
            await guard.report_unhealthy(intent.desired, reason, message, seconds)
        self._s.changed()
        return guard

    async def _prove(
        self,
        intent: Intent,
        reporter: Reporter,
        prove: Callable[[], Awaitable[None]],
        seconds: StepSeconds,
    ) -> None:
        """Let the release prove itself. Raises Settled once the verdict that it did not is told."""
        try:
            with span("extension.test"):
                await prove()
        except StepFailed as error:
            message = str(error)
            await reporter.report(
                intent.desired, ExtensionPhase.FAILED, error.reason, message,
                conditions.unhealthy(error.reason, message), seconds=seconds,
            )  # fmt: skip
            self._s.changed()
            raise Settled from error

    async def _until_ready(self, intent: Intent, timeout: timedelta) -> None:
        """Return when ready, failed or out of time."""
        deadline = self._s.clock.monotonic() + timeout.total_seconds()
        while True:
            health = self._observed.health()
            left = deadline - self._s.clock.monotonic()
            if health.is_ready or health.has_failed or left <= 0:
                return
            await self._wait(min(left, _POLL_SECONDS))
            self._stop_if_superseded(intent)
            if not self._observed.moved:
                await self._observed.refresh_unready(self._s.kube)

    async def _keep(self, intent: Intent, guard: Guard | None) -> None:
        """Guard what stands there until a newer intent comes."""
        while True:
            pause = await guard.look(intent.desired) if guard else None
            self._stop_if_superseded(intent)
            if _closed(intent.gate, self._s.clock) is not None:
                raise Superseded
            await self._wait(pause)
            self._stop_if_superseded(intent)

    async def _remove(self, intent: Intent, reporter: Reporter) -> None:
        desired = intent.desired
        if reporter.record.phase is ExtensionPhase.REMOVED:
            return
        await reporter.report(
            desired, ExtensionPhase.APPLYING, ReasonCode.PROGRESSING, "Removing",
            conditions.applying(ReasonCode.PROGRESSING, "Removing"),
        )  # fmt: skip
        for attempt in range(1, self._s.settings.max_attempts + 1):
            try:
                async with self._s.slots:
                    for deployer in self._s.deployers.values():
                        await deployer.remove(reporter.record)
                break
            except (StepFailed, KubeError) as error:
                failure = StepFailed(ReasonCode.UNINSTALL_FAILED, str(error))
            last = attempt == self._s.settings.max_attempts
            await reporter.report(
                desired,
                ExtensionPhase.FAILED if last else ExtensionPhase.APPLYING,
                failure.reason,
                str(failure),
                conditions.not_released(failure.reason, str(failure), retrying=not last),
                attempt=attempt,
            )
            if last:
                return
            await self._wait_unless_superseded(intent, self._pause(attempt))
        reason = ReasonCode.UNINSTALL_SUCCEEDED
        await reporter.report(
            desired, ExtensionPhase.REMOVED, reason, "Nothing of it is left",
            conditions.removed(reason),
        )  # fmt: skip
        await self._s.records.forget(self.name)
        self._reporter = None
        self._s.changed()

    async def _repeat_verdict(self, intent: Intent, reporter: Reporter) -> None:
        """After a restart: what was decided stays decided until there is something new to try."""
        record = reporter.record
        message = next((c.message for c in record.conditions if c.message), "")
        await reporter.report(
            intent.desired, record.phase, record.reason, reporter.message or message, (),
            attempt=record.attempt,
        )  # fmt: skip

    def _stop_if_superseded(self, intent: Intent) -> None:
        if self._intent is not intent:
            raise Superseded

    async def _wait(self, seconds: float | None) -> None:
        """Return after `seconds`, or as soon as something happens."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _wait_unless_superseded(self, intent: Intent, seconds: float) -> None:
        """Wait out the whole pause: events of objects do not shorten it, a newer intent does."""
        end = self._s.clock.monotonic() + seconds
        while (left := end - self._s.clock.monotonic()) > 0:
            self._stop_if_superseded(intent)
            await self._wait(left)
        self._stop_if_superseded(intent)

    def _pause(self, attempt: int) -> float:
        settings = self._s.settings
        return min(settings.retry_max_seconds, settings.retry_base_seconds * 2.0 ** (attempt - 1))


def _kind_of(spec: ResolvedSpec | None) -> SourceKind:
    if spec is not None and spec.source.kustomize is not None:
        return SourceKind.KUSTOMIZE
    if spec is not None and spec.source.flux is not None:
        return SourceKind.FLUX
    return SourceKind.HELM


def _closed(gate: ReconcileGate, clock: Clock) -> tuple[ReasonCode, str, float | None] | None:
    """Why nothing may be touched, what to say, and how many seconds that lasts."""
    if gate.suspend:
        return ReasonCode.SUSPENDED, "Reconciling is suspended on the cluster", None
    if gate.not_now is not None:
        left = (gate.not_now.until - clock.now()).total_seconds()
        if left > 0:
            why = f": {gate.not_now.reason}" if gate.not_now.reason else ""
            until = gate.not_now.until.isoformat()
            return ReasonCode.NOT_NOW, f"Not before {until}{why}", left
    return None


def _is_verdict(record: ExtensionRecord, desired: DesiredExtension) -> bool:
    """True when all attempts at this very release are used up."""
    return (
        record.is_for(desired)
        and record.phase is ExtensionPhase.FAILED
        and record.reason not in _HEALTH_REASONS
    )


def _is_released(record: ExtensionRecord, desired: DesiredExtension) -> bool:
    """True when this very release was applied, and its health told, before."""
    told = record.phase is ExtensionPhase.READY or record.reason in _HEALTH_REASONS
    return told and record.is_for(desired)


def _success(action: Action, record: ExtensionRecord, desired: DesiredExtension) -> ReasonCode:
    if action is Action.INSTALL:
        return ReasonCode.INSTALL_SUCCEEDED
    if action is Action.NONE and record.is_for(desired) and record.phase is ExtensionPhase.READY:
        return record.reason
    return ReasonCode.UPGRADE_SUCCEEDED


def _as_failure(error: AgentError, record: ExtensionRecord) -> StepFailed:
    """An API error during an attempt fails that attempt; another one may go through."""
    if isinstance(error, StepFailed):
        return error
    first = record.content_digest is None
    return StepFailed(ReasonCode.INSTALL_FAILED if first else ReasonCode.UPGRADE_FAILED, str(error))
