"""Guards an extension that was applied: is it still healthy, and is it still what was applied?

Watch events make it look within a second; an interval makes it look even if no event ever comes.
Correcting is bounded: where someone else keeps changing a field back, it gives up and says so.
"""

from __future__ import annotations

from agent.errors import KubeError, StepFailed
from agent.reconcile import conditions
from agent.reconcile.drift import Desired, Found
from agent.reconcile.drift_rules import DriftRules, describe, identity, report, with_first_seen
from agent.reconcile.health import explain
from agent.reconcile.marking import is_marked, mark
from agent.reconcile.objects import EXTENSION_LABEL, key_of, labels_of
from agent.reconcile.observed import ObservedObjects
from agent.reconcile.reporter import Reporter
from agent.reconcile.surroundings import Surroundings
from agent.reconcile.unforeseen import Unforeseen
from agent.reconcile.work import Applied, acting_for
from shared.contract.desired import DesiredExtension
from shared.contract.extension import DriftMode, DriftPolicy
from shared.contract.limits import DIFFERENCES_PER_REPORT
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.contract.status import ConditionType, Difference, StepSeconds
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

_QUIET_SECONDS = 60.0
"""A drift that stays away this long after its correction was set right for good."""


class Guard:
    """Looks after the objects of one applied release."""

    def __init__(
        self,
        surroundings: Surroundings,
        reporter: Reporter,
        observed: ObservedObjects,
        applied: Applied,
        unforeseen: Unforeseen,
    ) -> None:
        self._s = surroundings
        self._reporter = reporter
        self._observed = observed
        self._unforeseen = unforeseen
        self._desired = Desired(
            reporter.record.extension,
            {key_of(obj): obj for obj in applied.objects},
            applied.manager,
            applied.as_user,
            applied.own,
        )
        self._found: Found = {}
        self._unready_since: float | None = None
        self._must_repeat = False
        """The health has to be told even if it is what it was: whoever told it may be gone."""
        self._next_check = surroundings.clock.monotonic()
        self._next_correction = 0.0
        self._last_correction: float | None = None
        self._gave_up = ""
        self._released_as = ReasonCode.UPGRADE_SUCCEEDED

    @property
    def has_drifted(self) -> bool:
        """The last check found differences."""
        return bool(self._found)

    def resume(self) -> None:
        """Go on with a release whose health was told before, perhaps by an agent that is gone."""
        record = self._reporter.record
        if record.phase is ExtensionPhase.READY:
            self._released_as = record.reason
        self._must_repeat = True

    async def report_ready(
        self, desired: DesiredExtension, reason: ReasonCode, seconds: StepSeconds | None = None
    ) -> None:
        """Every object is current: what the extension has is its own from now on."""
        self._released_as = reason
        self._unready_since = None
        await self._reporter.save(self._reporter.record.taken_over())
        message = f"Revision {desired.revision} is ready"
        await self._reporter.report(
            desired, ExtensionPhase.READY, reason, message, conditions.ready(reason, message),
            attempt=self._reporter.record.attempt, seconds=seconds,
        )  # fmt: skip

    async def report_unhealthy(
        self,
        desired: DesiredExtension,
        reason: ReasonCode,
        message: str,
        seconds: StepSeconds | None = None,
    ) -> None:
        """Applied, but not, or not any more, ready."""
        await self._reporter.report(
            desired, ExtensionPhase.FAILED, reason, message, conditions.unhealthy(reason, message),
            attempt=self._reporter.record.attempt, seconds=seconds,
        )  # fmt: skip

    async def look(self, desired: DesiredExtension) -> float | None:
        """Do what is due. Returns the seconds until something is due by itself."""
        policy = desired.spec.drift if desired.spec else DriftPolicy(mode=DriftMode.OFF)
        health_pause = await self._look_at_health(desired)
        drift_pause = await self._look_for_drift_if_allowed(desired, policy)
        pauses = [pause for pause in (health_pause, drift_pause) if pause is not None]
        return max(0.0, min(pauses)) if pauses else None

    async def _look_at_health(self, desired: DesiredExtension) -> float | None:
        health = await self._observed.health()
        was_ready = self._reporter.record.phase is ExtensionPhase.READY
        if health.is_ready:
            self._unready_since = None
            if not was_ready or self._must_repeat:
                self._must_repeat = False
                await self.report_ready(desired, self._released_as)
                self._s.changed()
            return None
        if not was_ready and not self._must_repeat:
            return None
        now = self._s.clock.monotonic()
        self._unready_since = self._unready_since or now
        left = self._unready_since + self._s.settings.health_grace_seconds - now
        if left > 0 and not health.has_failed:
            return left
        await self._look_again()
        health = await self._observed.health()
        if health.is_ready:
            return await self._look_at_health(desired)
        self._must_repeat = False
        message = await explain(self._s.kube, health, self._observed.live)
        await self.report_unhealthy(desired, ReasonCode.HEALTH_CHECK_FAILED, message)
        self._s.changed()
        return None

    async def _look_again(self) -> None:
        """Ask for what seems not to be ready: who takes our label off an object takes it out of the
        watches, not out of the cluster. Where helm renders the object nobody else puts it back."""
        await self._observed.refresh_unready(self._s.kube)
        kube = acting_for(self._s.kube, self._desired.as_user)
        for key, live in self._observed.live.items():
            declared = self._desired.objects.get(key, {})
            if EXTENSION_LABEL in labels_of(declared) or is_marked(live, self._desired.extension):
                continue
            try:
                if await self._s.belongings.owner(self._desired.extension, live) is None:
                    await mark(kube, live, self._desired.extension)
            except KubeError as error:
                log.warning("object cannot be labelled", object=str(key), error=str(error)[:300])

    async def _look_for_drift_if_allowed(
        self, desired: DesiredExtension, policy: DriftPolicy
    ) -> float | None:
        """Look for drift; where that is refused or fails, say so and try at the next interval:
        whether the extension is healthy is another question, and has an answer."""
        try:
            return await self._look_for_drift(desired, policy)
        except Exception as error:  # a supervisor, as in the worker
            if isinstance(error, KubeError) and error.retryable:
                raise
            failure = self._unforeseen.failure(error, self._reporter.record.reason)
        message = f"Drift cannot be looked for: {failure}"
        log.warning("drift check failed", extension=desired.name, error=message[:300])
        verdicts = [conditions.verdict(ConditionType.DRIFTED, None, failure.reason, message)]
        record = self._reporter.record
        await self._reporter.report(
            desired, record.phase, record.reason, message, verdicts,
            attempt=record.attempt, lasting=False,
        )  # fmt: skip
        self._next_check = self._s.clock.monotonic() + policy.interval.total_seconds()
        return self._pause(policy)

    async def _look_for_drift(self, desired: DesiredExtension, policy: DriftPolicy) -> float | None:
        asked = desired.correction > self._reporter.record.correction
        edited = self._observed.take_edited()
        if policy.mode is DriftMode.OFF and not asked:
            return None
        clock, rules = self._s.clock, DriftRules(policy.ignore, desired.accepted_drift)
        due = clock.monotonic() >= self._next_check
        if edited and not due:
            await clock.sleep(self._s.settings.event_quiet_seconds)
            edited |= self._observed.take_edited()
        before = self._found
        if due or asked or any(key not in self._desired.objects for key in edited):
            self._found = await self._s.drift.check_all(self._desired, rules)
        elif edited:
            some = await self._s.drift.check_some(self._desired, rules, sorted(edited))
            merged = {**self._found, **some}
            self._found = {key: found for key, found in merged.items() if found}
        if due:
            self._next_check = clock.monotonic() + policy.interval.total_seconds()
        if due or _fields(self._found) != _fields(before):
            await self._report_found(desired)
        if self._found and (asked or policy.mode is DriftMode.CORRECT):
            await self._correct(desired, rules, asked=asked)
        elif asked:
            await self._reporter.remember(correction=desired.correction)
            await self._report_found(desired)
        self._forget_corrections_when_quiet()
        return self._pause(policy)

    async def _correct(self, desired: DesiredExtension, rules: DriftRules, *, asked: bool) -> None:
        """One attempt, if one is due and left; an operator's request always gets one."""
        settings, clock = self._s.settings, self._s.clock
        corrections = self._reporter.record.corrections
        if not asked and corrections >= settings.correction_attempts:
            await self._give_up(desired, "")
            return
        if not asked and clock.monotonic() < self._next_correction:
            return
        corrections += 1
        pause = settings.correction_base_seconds * 2.0 ** (corrections - 1)
        self._last_correction = clock.monotonic()
        self._next_correction = self._last_correction + pause
        await self._reporter.remember(corrections=corrections, correction=desired.correction)
        wrong, trouble = self._found, ""
        try:
            await self._s.drift.correct(self._desired, wrong)
        except StepFailed as error:
            trouble = str(error)
        self._found = await self._s.drift.check_all(self._desired, rules)
        if not self._found:
            await self._report(desired, ReasonCode.DRIFT_CORRECTED, describe(_flat(wrong)), True)
        elif corrections >= settings.correction_attempts or asked:
            await self._give_up(desired, trouble)

    async def _give_up(self, desired: DesiredExtension, trouble: str) -> None:
        """Say once that correcting does not help."""
        message = trouble or f"It comes back: {describe(_flat(self._found))}"
        if message != self._gave_up:
            self._gave_up = message
            await self._report(desired, ReasonCode.DRIFT_CORRECTION_FAILED, message, False)

    async def _report_found(self, desired: DesiredExtension) -> None:
        reason = ReasonCode.DRIFT_DETECTED if self._found else ReasonCode.NO_DRIFT_DETECTED
        await self._report(desired, reason, describe(_flat(self._found)), None)

    async def _report(
        self, desired: DesiredExtension, reason: ReasonCode, message: str, remedied: bool | None
    ) -> None:
        """Tell the newest findings; the extension's phase stays what it is."""
        record = self._reporter.record
        differences = with_first_seen(_flat(self._found), record.first_seen)
        told = differences[:DIFFERENCES_PER_REPORT]
        first_seen = {identity(found): found.first_seen for found in told}
        if first_seen != record.first_seen:
            await self._reporter.remember(first_seen=first_seen)
        verdicts = [conditions.verdict(ConditionType.DRIFTED, bool(differences), reason, message)]
        if remedied is not None:
            verdicts.append(conditions.verdict(ConditionType.REMEDIATED, remedied, reason, message))
            verdicts.append(
                conditions.verdict(ConditionType.STALLED, not remedied, reason, message)
            )
        await self._reporter.report(
            desired,
            record.phase,
            reason,
            message,
            verdicts,
            attempt=record.attempt,
            drift=report(
                differences,
                checked_at=self._s.clock.now(),
                corrections=record.corrections,
                correction=record.correction,
            ),
            lasting=False,
        )

    def _forget_corrections_when_quiet(self) -> None:
        if self._found or self._last_correction is None or not self._reporter.record.corrections:
            return
        if self._s.clock.monotonic() - self._last_correction >= _QUIET_SECONDS:
            self._last_correction, self._gave_up = None, ""
            self._reporter.record = self._reporter.record.model_copy(update={"corrections": 0})

    def _pause(self, policy: DriftPolicy) -> float | None:
        if policy.mode is DriftMode.OFF:
            return None
        now = self._s.clock.monotonic()
        pause = self._next_check - now
        left = self._s.settings.correction_attempts - self._reporter.record.corrections
        if self._found and policy.mode is DriftMode.CORRECT and left > 0:
            pause = min(pause, self._next_correction - now)
        return pause


def _flat(found: Found) -> list[Difference]:
    return [difference for key in sorted(found) for difference in found[key]]


def _fields(found: Found) -> set[tuple[str, str]]:
    """What makes two findings the same: fields and what they hold."""
    return {(identity(item), repr(item.observed)) for items in found.values() for item in items}
