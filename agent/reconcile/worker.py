"""One extension on this cluster: pursues the newest intent until it is reached, then guards it.

There is one worker per extension, so nothing of an extension is ever worked on twice at once. A
newer intent takes over between steps; a step that has begun ends first. Everything the worker knows
it can read again from the cluster, so it may die at any point.
"""

from __future__ import annotations

from contextlib import suppress

from agent.errors import KubeError, StepFailed
from agent.reconcile import conditions
from agent.reconcile.guard import Guard
from agent.reconcile.observed import ObservedObjects
from agent.reconcile.owned import Sighting
from agent.reconcile.pulse import Intent, Pulse, Settled, Superseded, closed
from agent.reconcile.pursuit import (
    POLL_SECONDS,
    Pursuit,
    failed_to_apply,
    is_released,
    is_verdict,
    kind_of,
    stands_later,
)
from agent.reconcile.record import ExtensionRecord
from agent.reconcile.reporter import Reporter
from agent.reconcile.surroundings import Surroundings
from agent.reconcile.unforeseen import Unforeseen
from shared.contract.desired import DesiredState
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.telemetry.logs import get_logger
from shared.telemetry.tracing import span

log = get_logger(__name__)

_DOUBLINGS_MAX = 16


class Worker:
    """Pursues one extension. `assign` and `notice` may be called at any time from the loop."""

    def __init__(self, name: str, surroundings: Surroundings, intent: Intent) -> None:
        self.name = name
        self._s = surroundings
        self._pulse = Pulse(intent, surroundings.clock)
        self._observed = ObservedObjects()
        self._reporter: Reporter | None = None
        self._unread: Reporter | None = None
        """Speaks while the record cannot be read, and writes none: it would write over the names
        of what stands in the cluster."""
        self._guard: Guard | None = None
        self._gone = False
        self._unforeseen = Unforeseen(name)
        self._stumbles = 0
        """How often in a row something beside the attempts went wrong."""
        self.held: ReasonCode | None = None
        """Why the worker does nothing: the gate is closed, or its record cannot be read."""

    @property
    def intent(self) -> Intent:
        """The newest."""
        return self._pulse.newest

    @property
    def record(self) -> ExtensionRecord | None:
        """What was last reported, or None before anything was."""
        return self._reporter.record if self._reporter else None

    @property
    def message(self) -> str:
        """What was last said."""
        reporter = self._reporter or self._unread
        return reporter.message if reporter else ""

    @property
    def is_ready(self) -> bool:
        """Ready as the newest intent asks, or as a later one did that nobody remembers."""
        record = self.record
        return record is not None and (
            (record.phase is ExtensionPhase.READY and record.is_for(self.intent.desired))
            or stands_later(record, self.intent.desired)
        )

    @property
    def is_gone(self) -> bool:
        """It was to be taken away, and was."""
        return self._gone

    @property
    def has_drifted(self) -> bool:
        """The last check found differences."""
        return self._guard is not None and self._guard.has_drifted

    def assign(self, intent: Intent) -> None:
        """Take a newer intent; the same one again changes nothing."""
        self._pulse.assign(intent)

    def notice(self, sighting: Sighting) -> None:
        """Take what a watch saw."""
        if self._observed.take(sighting):
            self._pulse.beat()

    def nudge(self) -> None:
        """Look again: a dependency changed."""
        self._pulse.beat()

    def tell_again(self) -> None:
        """Report how the extension is although that was reported: nobody knows it any more."""
        if self._reporter is not None:
            self._reporter.forget_told()
            self._pulse.renew()

    async def run(self) -> None:
        """Work until cancelled. Whatever goes wrong is told, waited out, and tried anew."""
        while True:
            intent, self.held = self.intent, None
            try:
                await self._reach_and_keep(intent)
            except Superseded:
                continue
            except Settled:
                with suppress(Superseded):
                    await self._keep(intent, None)
            except KubeError as error:
                if error.retryable:
                    log.warning("cluster unreachable", extension=self.name, error=str(error)[:300])
                    await self._pulse.wait(POLL_SECONDS)
                else:
                    await self._stumble(intent, error)
            except Exception as error:
                # A supervisor: one extension's trouble must not stop the others.
                await self._stumble(intent, error)

    async def _stumble(self, intent: Intent, error: Exception) -> None:
        """Wait before it is tried anew, longer each time; told once it looks as if it stays.

        What is met here is beside the attempts at a release, which count and tell their own: the
        extension's record cannot be read, what stands cannot be looked at.
        """
        settings = self._s.settings
        self._stumbles += 1
        try:
            failure = self._unforeseen.failure(error, self._reason_for(intent))
            if self._stumbles >= settings.max_attempts:
                await self._tell_stumble(intent, failure)
        except Exception as untold:
            # Whatever keeps it from being told, a journal or a cluster that takes nothing.
            log.warning(
                "a failure cannot be told", extension=self.name, error=type(untold).__name__
            )
        doublings = min(self._stumbles - 1, _DOUBLINGS_MAX)
        pause = min(settings.retry_max_seconds, settings.retry_base_seconds * 2.0**doublings)
        with suppress(Superseded):
            await self._pulse.wait_whole(intent, pause)

    def _reason_for(self, intent: Intent) -> ReasonCode:
        if intent.desired.state is DesiredState.ABSENT:
            return ReasonCode.UNINSTALL_FAILED
        record = self.record
        if record is not None and record.is_for(intent.desired) and record.content_digest:
            return ReasonCode.HEALTH_CHECK_FAILED  # applied, and nobody can say how it is
        return ReasonCode.INSTALL_FAILED if record is None else failed_to_apply(record)

    async def _tell_stumble(self, intent: Intent, failure: StepFailed) -> None:
        reason, message = failure.reason, str(failure)
        reporter = self._reporter
        if reporter is None:
            reporter, self.held = self._without_record(intent), reason
        if reason is ReasonCode.HEALTH_CHECK_FAILED:
            verdicts = conditions.unhealthy(reason, message)
        else:
            verdicts = conditions.not_released(reason, message, retrying=True)
        await reporter.report(intent.desired, ExtensionPhase.FAILED, reason, message, verdicts)
        self._s.changed()

    def _without_record(self, intent: Intent) -> Reporter:
        if self._unread is None:
            record = self._first_record(intent)
            self._unread = Reporter(self._s.sink, None, self._s.clock, record)
        return self._unread

    async def _reach_and_keep(self, intent: Intent) -> None:
        with span(
            "extension.reconcile",
            parent=intent.desired.traceparent,
            attributes={"arcbridge.extension": self.name},
        ):
            self._guard, self._gone = None, False
            reporter = await self._load(intent)
            await self._pass_gate(intent)
            if stands_later(reporter.record, intent.desired):
                await self._leave_alone(intent, reporter)
            pursuit = Pursuit(
                self._s, self._pulse, intent, reporter, self._observed, self._unforeseen
            )
            self._guard = await self._reach(intent, reporter, pursuit)
        await self._keep(intent, self._guard)

    async def _leave_alone(self, intent: Intent, reporter: Reporter) -> None:
        """Say what runs here, and wait for an intent that is not older than it. Raises Superseded.

        To follow an older one would take the whole fleet back at once, without stages and pace,
        because a database was restored. Whoever publishes again brings both together.
        """
        record, desired = reporter.record, intent.desired
        self.held = ReasonCode.RELEASE_OUTDATED
        stands = {
            "generation": record.generation,
            "rollout_id": record.rollout_id,
            "revision": record.revision,
            "spec_digest": record.spec_digest,
        }
        message = (
            f"Release {desired.generation} is asked for and release {record.generation} runs here: "
            "the control plane was restored to an earlier moment. Left alone until the next one"
        )
        await reporter.report(
            desired.model_copy(update=stands), record.phase, self.held, message, (),
            attempt=record.attempt, lasting=False,
        )  # fmt: skip
        self._s.changed()
        await self._keep(intent, None)

    async def _reach(self, intent: Intent, reporter: Reporter, pursuit: Pursuit) -> Guard | None:
        """The guard of what stands there then; None when there is nothing to guard."""
        desired = intent.desired
        if desired.state is DesiredState.ABSENT or desired.spec is None:
            await pursuit.remove()
            if reporter.record.phase is ExtensionPhase.REMOVED:
                self._reporter, self._gone = None, True
            return None
        if is_verdict(reporter.record, desired):
            await pursuit.repeat_verdict()
            return None
        if not is_released(reporter.record, desired):
            await pursuit.await_dependencies(desired.spec)
        outcome = await pursuit.deploy(desired.spec)
        return None if outcome is None else await pursuit.settle(desired.spec, outcome)

    async def _load(self, intent: Intent) -> Reporter:
        if self._reporter is None:
            record = await self._s.records.load(self.name) or self._first_record(intent)
            self._reporter = Reporter(self._s.sink, self._s.records, self._s.clock, record)
            self._unread = None
        return self._reporter

    def _first_record(self, intent: Intent) -> ExtensionRecord:
        spec = intent.desired.spec
        return ExtensionRecord(
            extension=self.name,
            source=kind_of(spec),
            namespace=spec.namespace if spec else "default",
        )

    async def _pass_gate(self, intent: Intent) -> None:
        """Wait while the cluster asks not to be touched.

        Nothing is reported: the control plane knows that the cluster wants peace, and skips a
        release of which it hears nothing. One that was said to be applied would have to be ready by
        its deadline.
        """
        while (why := closed(intent.gate, self._s.clock)) is not None:
            reason, seconds = why
            if self.held is not reason:
                self.held = reason
                self._s.changed()
            await self._pulse.wait(seconds)
            self._pulse.stop_unless_newest(intent)
        self.held = None

    async def _keep(self, intent: Intent, guard: Guard | None) -> None:
        """Guard what stands there until a newer intent comes, or the cluster closes its gate."""
        while True:
            pause = await guard.look(intent.desired) if guard else None
            self._stumbles = 0
            self._pulse.stop_unless_newest(intent)
            if closed(intent.gate, self._s.clock) is not None:
                raise Superseded
            await self._pulse.wait(pause)
            self._pulse.stop_unless_newest(intent)
