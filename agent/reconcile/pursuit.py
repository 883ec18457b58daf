"""The way to one intent: dependencies, attempts, readiness, and the verdict.

Each method is a step that ends before a newer intent takes over; each tells what it did.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from agent.errors import AgentError, KubeError, KubeForbidden, StepFailed
from agent.reconcile import conditions
from agent.reconcile.checks import Checks
from agent.reconcile.guard import Guard
from agent.reconcile.health import explain
from agent.reconcile.live import load_live, namespaces_of, resources_of
from agent.reconcile.observed import ObservedObjects
from agent.reconcile.patience import Patience
from agent.reconcile.pulse import Intent, Pulse, Settled
from agent.reconcile.record import ExtensionRecord, SourceKind
from agent.reconcile.reporter import Reporter
from agent.reconcile.surroundings import Surroundings
from agent.reconcile.unforeseen import Unforeseen
from agent.reconcile.work import Action, Applied, Work, account_user
from shared.contract.desired import DesiredExtension
from shared.contract.extension import ResolvedSpec
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.contract.status import StepSeconds
from shared.telemetry.logs import get_logger
from shared.telemetry.tracing import span

log = get_logger(__name__)

POLL_SECONDS = 5.0
"""While something is waited for, look again this often even if no watch says anything."""
_DOUBLINGS_MAX = 16
_HEALTH_REASONS = frozenset({ReasonCode.HEALTH_CHECK_FAILED, ReasonCode.READINESS_TIMED_OUT})


class Pursuit:
    """Pursues one intent of one extension."""

    def __init__(
        self,
        surroundings: Surroundings,
        pulse: Pulse,
        intent: Intent,
        reporter: Reporter,
        observed: ObservedObjects,
        unforeseen: Unforeseen,
    ) -> None:
        self._s = surroundings
        self._pulse = pulse
        self._intent = intent
        self._reporter = reporter
        self._observed = observed
        self._unforeseen = unforeseen
        self._desired = intent.desired
        self._name = intent.desired.name

    async def await_dependencies(self, spec: ResolvedSpec) -> None:
        """Return once everything that the spec depends on is ready; say so while it is not."""
        while (lacking := self._s.missing_dependency(spec.depends_on)) is not None:
            await self._reporter.report(
                self._desired,
                ExtensionPhase.APPLYING,
                ReasonCode.DEPENDENCY_NOT_READY,
                lacking,
                conditions.applying(ReasonCode.DEPENDENCY_NOT_READY, lacking),
            )
            await self._pulse.wait(POLL_SECONDS)
            self._pulse.stop_unless_newest(self._intent)

    async def deploy(self, spec: ResolvedSpec) -> tuple[Applied, Action] | None:
        """Attempt after attempt; None once they are used up and the verdict is told."""
        record = self._reporter.record
        attempt = record.attempt if record.is_for(self._desired) else 1
        stands, lacking = is_released(record, self._desired), 0
        patience = Patience(self._s.clock, spec.readiness.timeout.total_seconds(), self._pause)
        while True:
            self._pulse.stop_unless_newest(self._intent)
            try:
                async with self._s.slots:
                    return await self._attempt(spec, attempt)
            except (StepFailed, KubeError) as error:
                if stands and _is_elsewhere(error):
                    lacking += 1
                    await self._wait_for_origin(error, lacking)
                    continue
                if stands and isinstance(error, KubeForbidden):
                    raise  # a right that was lost may come back, see the worker
                failure = _as_failure(error, self._reporter.record)
            except Exception as error:  # a supervisor: nobody foresaw it, and it has to be told
                if stands:
                    raise
                reason = failed_to_apply(self._reporter.record)
                failure = self._unforeseen.failure(error, reason)
            pause = patience.wait_for(failure)
            last = pause is None and (failure.final or attempt >= self._s.settings.max_attempts)
            verdicts = conditions.not_released(failure.reason, str(failure), retrying=not last)
            phase = ExtensionPhase.FAILED if last else ExtensionPhase.APPLYING
            await self._reporter.report(
                self._desired, phase, failure.reason, str(failure), verdicts, attempt=attempt
            )
            self._s.changed()
            if last:
                return None
            if pause is None:
                pause = self._pause(attempt)
                attempt += 1
            await self._pulse.wait_whole(self._intent, pause)

    async def _wait_for_origin(self, error: AgentError, times: int) -> None:
        """What was released stands, whatever has become of where it came from: that it cannot be
        had again, on a new node or after a restart, is no verdict on it."""
        log.warning(
            "what is released cannot be compared yet", extension=self._name, error=str(error)[:300]
        )
        await self._pulse.wait_whole(self._intent, self._pause(times))

    async def _attempt(self, spec: ResolvedSpec, attempt: int) -> tuple[Applied, Action]:
        desired, kind = self._desired, kind_of(spec)
        Checks.compile(spec.readiness.checks)  # before anything is applied
        work = Work(
            desired=desired,
            spec=spec,
            record=self._reporter.record,
            allowed_namespaces=self._intent.gate.allowed_namespaces,
            attempt=attempt,
            save=self._reporter.save,
        )
        await self._leave_old_place(kind, work)
        work = replace(work, record=self._reporter.record)
        deployer = self._s.deployers[kind]
        action = await deployer.plan(work)
        told = self._reporter.record.is_for(desired) and action is Action.NONE
        if attempt == 1 and not told:
            message = f"Revision {desired.revision}: {action.value}"
            await self._reporter.report(
                desired, ExtensionPhase.APPLYING, ReasonCode.PROGRESSING, message,
                conditions.applying(ReasonCode.PROGRESSING, message),
            )  # fmt: skip
            self._s.changed()
        work = replace(work, record=self._reporter.record)
        with span("extension.apply", attributes={"arcbridge.action": action.value}):
            applied = await deployer.deploy(work, action)
        return applied, action

    async def _leave_old_place(self, kind: SourceKind, work: Work) -> None:
        """An extension that changed its source's kind, or a release its namespace, starts anew; but
        what runs is not taken away for something that cannot even be built."""
        record, spec = self._reporter.record, work.spec
        moved = kind is SourceKind.HELM and record.namespace != spec.namespace
        as_user = account_user(spec.namespace, spec.service_account)
        how_to_remove = {
            "depends_on": spec.depends_on,
            "keep_history": spec.source.helm is not None and spec.source.helm.keep_history,
        }
        if record.source is kind and not moved:
            handed = record.handed_to(as_user)
            await self._reporter.save(handed.model_copy(update=how_to_remove))
            return
        if record.generation:
            await self._s.deployers[kind].rehearse(work)
            await self._s.deployers[record.source].remove(record)
        await self._reporter.save(
            record.model_copy(
                update={
                    "source": kind,
                    "namespace": spec.namespace,
                    "as_user": as_user,
                    **how_to_remove,
                    "inventory": (),
                    "secrets": (),
                    "content_digest": None,
                    "installed": False,
                }
            )
        )

    async def settle(
        self,
        spec: ResolvedSpec,
        outcome: tuple[Applied, Action],
    ) -> Guard:
        """Wait until the objects are ready, or say why they are not."""
        applied, action = outcome
        started = self._s.clock.monotonic()
        live = applied.live or await load_live(self._s.kube, self._name, applied.objects)
        self._observed.expect(applied.objects, live, Checks.compile(spec.readiness.checks))
        for resource in await resources_of(self._s.kube, applied.objects):
            self._s.owned.follow(resource, namespaces_of(applied.objects))
        guard = Guard(self._s, self._reporter, self._observed, applied, self._unforeseen)
        if action is Action.NONE and is_released(self._reporter.record, self._desired):
            # It was ready, or was told not to be, before: the guard sees to what changed since.
            guard.resume()
            return guard
        with span("extension.ready"):
            await self._until_ready(spec.readiness.timeout)
        seconds = StepSeconds(
            fetch=round(applied.fetch_seconds, 3),
            apply=round(applied.apply_seconds, 3),
            ready=round(self._s.clock.monotonic() - started, 3),
        )
        health = await self._observed.health()
        if health.is_ready and applied.prove is not None:
            await self._prove(applied.prove, seconds)
        if health.is_ready:
            reason = _success(action, self._reporter.record, self._desired)
            await guard.report_ready(self._desired, reason, seconds)
        else:
            reason = (
                ReasonCode.HEALTH_CHECK_FAILED
                if health.has_failed
                else ReasonCode.READINESS_TIMED_OUT
            )
            message = await explain(self._s.kube, health, self._observed.live)
            await guard.report_unhealthy(self._desired, reason, message, seconds)
        self._s.changed()
        return guard

    async def _prove(
        self,
        prove: Callable[[], Awaitable[None]],
        seconds: StepSeconds,
    ) -> None:
        """Let the release prove itself. Raises Settled once the verdict that it did not is told."""
        try:
            with span("extension.test"):
                await prove()
        except StepFailed as error:
            message = str(error)
            await self._reporter.report(
                self._desired, ExtensionPhase.FAILED, error.reason, message,
                conditions.unhealthy(error.reason, message), seconds=seconds,
            )  # fmt: skip
            self._s.changed()
            raise Settled from error

    async def _until_ready(self, timeout: timedelta) -> None:
        """Return when ready, failed or out of time."""
        deadline = self._s.clock.monotonic() + timeout.total_seconds()
        while True:
            health = await self._observed.health()
            left = deadline - self._s.clock.monotonic()
            if health.is_ready or health.has_failed or left <= 0:
                return
            self._observed.moved = False
            await self._pulse.wait(min(left, POLL_SECONDS))
            self._pulse.stop_unless_newest(self._intent)
            if not self._observed.moved:
                await self._observed.refresh_unready(self._s.kube)

    async def remove(self) -> None:
        """Take everything of the extension away, and then its record; after what depends on it,
        where that is to go, too."""
        while (waiting := self._s.leaving_dependent(self._name)) is not None:
            await self._tell_removing(waiting)
            await self._pulse.wait(POLL_SECONDS)
            self._pulse.stop_unless_newest(self._intent)
        await self._tell_removing("Removing")
        said = await self._take_away()
        if said is None:
            return
        reason = ReasonCode.UNINSTALL_SUCCEEDED
        await self._reporter.report(
            self._desired, ExtensionPhase.REMOVED, reason, said,
            conditions.removed(reason),
        )  # fmt: skip
        await self._s.records.forget(self._name)
        self._reporter.record = self._reporter.record.model_copy(
            update={"phase": ExtensionPhase.REMOVED}
        )
        self._s.changed()

    async def _tell_removing(self, message: str) -> None:
        await self._reporter.report(
            self._desired, ExtensionPhase.APPLYING, ReasonCode.PROGRESSING, message,
            conditions.applying(ReasonCode.PROGRESSING, message),
        )  # fmt: skip

    async def _take_away(self) -> str | None:
        """Attempt after attempt; None once they are used up and the verdict is told."""
        attempt = 1
        patience = Patience(self._s.clock, self._s.settings.tool_seconds, self._pause)
        while True:
            try:
                async with self._s.slots:
                    record = self._reporter.record
                    return await self._s.deployers[record.source].remove(record)
            except (StepFailed, KubeError) as error:
                failure = _as_failure(error, self._reporter.record)
            except Exception as error:  # a supervisor, as in `deploy`
                failure = self._unforeseen.failure(error, ReasonCode.UNINSTALL_FAILED)
            pause = patience.wait_for(failure)
            last = pause is None and attempt >= self._s.settings.max_attempts
            await self._tell_not_removed(str(failure), attempt, last=last)
            if last:
                return None
            if pause is None:
                pause = self._pause(attempt)
                attempt += 1
            await self._pulse.wait_whole(self._intent, pause)

    async def _tell_not_removed(self, message: str, attempt: int, *, last: bool) -> None:
        reason = ReasonCode.UNINSTALL_FAILED
        await self._reporter.report(
            self._desired,
            ExtensionPhase.FAILED if last else ExtensionPhase.APPLYING,
            reason,
            message,
            conditions.not_released(reason, message, retrying=not last),
            attempt=attempt,
        )

    async def repeat_verdict(self) -> None:
        """After a restart: what was decided stays decided until there is something new to try."""
        record = self._reporter.record
        message = next((c.message for c in record.conditions if c.message), "")
        await self._reporter.report(
            self._desired, record.phase, record.reason, self._reporter.message or message, (),
            attempt=record.attempt,
        )  # fmt: skip

    def _pause(self, attempt: int) -> float:
        settings = self._s.settings
        doublings = min(attempt - 1, _DOUBLINGS_MAX)
        return min(settings.retry_max_seconds, settings.retry_base_seconds * 2.0**doublings)


def kind_of(spec: ResolvedSpec | None) -> SourceKind:
    if spec is not None and spec.source.kustomize is not None:
        return SourceKind.KUSTOMIZE
    if spec is not None and spec.source.flux is not None:
        return SourceKind.FLUX
    return SourceKind.HELM


def is_verdict(record: ExtensionRecord, desired: DesiredExtension) -> bool:
    """True when all attempts at this very release are used up.

    What the cluster's gate forbade is looked at again: the gate may be another one now.
    """
    return (
        record.is_for(desired)
        and record.phase is ExtensionPhase.FAILED
        and record.reason not in _HEALTH_REASONS
        and record.reason is not ReasonCode.NAMESPACE_FORBIDDEN
    )


def stands_later(record: ExtensionRecord, desired: DesiredExtension) -> bool:
    """True when a later release than the desired one is ready here.

    One that is not ready has nothing that would be worth keeping.
    """
    return record.phase is ExtensionPhase.READY and record.outdates(desired)


def is_released(record: ExtensionRecord, desired: DesiredExtension) -> bool:
    """True when this very release was applied, and its health told, before."""
    told = record.phase is ExtensionPhase.READY or record.reason in _HEALTH_REASONS
    return told and record.is_for(desired)


def _is_elsewhere(error: AgentError) -> bool:
    """True for what lies with a registry, a repository or an API server that does not answer."""
    if isinstance(error, StepFailed):
        origin = (ReasonCode.ARTIFACT_FAILED, ReasonCode.CREDENTIALS_UNUSABLE)
        return error.passing or error.reason in origin
    return isinstance(error, KubeError) and error.retryable


def _success(action: Action, record: ExtensionRecord, desired: DesiredExtension) -> ReasonCode:
    if action is Action.INSTALL:
        return ReasonCode.INSTALL_SUCCEEDED
    if action is Action.NONE and record.is_for(desired) and record.phase is ExtensionPhase.READY:
        return record.reason
    return ReasonCode.UPGRADE_SUCCEEDED


def _as_failure(error: AgentError, record: ExtensionRecord) -> StepFailed:
    """An API error during an attempt fails that attempt, unless it will pass."""
    if isinstance(error, StepFailed):
        return error
    passing = isinstance(error, KubeError) and error.retryable
    return StepFailed(failed_to_apply(record), str(error), passing=passing)


def failed_to_apply(record: ExtensionRecord) -> ReasonCode:
    """The reason of a failure for which there is no better one."""
    first = record.content_digest is None
    return ReasonCode.INSTALL_FAILED if first else ReasonCode.UPGRADE_FAILED
