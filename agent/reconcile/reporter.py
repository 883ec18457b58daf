"""Says what happens to one extension: first to the journal, then to the record in the cluster.

In that order a crash between the two repeats a report, which does no harm; the other way round it
would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.clock import Clock
from agent.reconcile.conditions import Verdict, with_verdicts
from agent.reconcile.record import ExtensionRecord, RecordStore
from agent.reconcile.seam import EventDraft, StatusSink
from shared.contract.desired import DesiredExtension
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.contract.status import DriftReport, StepSeconds
from shared.telemetry.logs import get_logger
from shared.telemetry.tracing import traceparent

log = get_logger(__name__)

_MESSAGE_CHARACTERS = 2000


class Reporter:
    """Reports of one extension, and its record between them."""

    def __init__(
        self, sink: StatusSink, records: RecordStore | None, clock: Clock, record: ExtensionRecord
    ) -> None:
        """Without `records` nothing is written but reports."""
        self._sink = sink
        self._records = records
        self._clock = clock
        self.record = record
        self.message = ""
        self._told: object = None

    def forget_told(self) -> None:
        """Make the next report whatever it says."""
        self._told = None

    async def report(
        self,
        desired: DesiredExtension,
        phase: ExtensionPhase,
        reason: ReasonCode,
        message: str,
        verdicts: Sequence[Verdict],
        *,
        attempt: int = 1,
        drift: DriftReport | None = None,
        seconds: StepSeconds | None = None,
        lasting: bool = True,
    ) -> None:
        """Journal one event and remember it. The same report twice in a row is made once.

        One that is not `lasting` changes the conditions but not what the extension is at.
        """
        message = message[:_MESSAGE_CHARACTERS]
        conditions = with_verdicts(
            self.record.conditions,
            verdicts,
            generation=desired.generation,
            now=self._clock.now(),
        )
        told = (
            desired.generation,
            desired.rollout_id,
            desired.spec_digest,
            phase,
            reason,
            message,
            attempt,
            conditions,
        )
        if told == self._told and drift is None:
            return
        draft = EventDraft(
            extension=desired.name,
            phase=phase,
            revision=desired.revision,
            spec_digest=desired.spec_digest,
            rollout_id=desired.rollout_id,
            observed_generation=desired.generation,
            reason=reason,
            message=message,
            attempt=attempt,
            conditions=conditions,
            drift=drift,
            seconds=seconds,
            traceparent=traceparent() or desired.traceparent,
        )
        await self._sink.record(draft)
        self._told = told
        if lasting:
            self.message = message
        log.info(
            "extension reported", extension=desired.name, phase=phase.value, reason=reason.value,
            revision=desired.revision, generation=desired.generation, attempt=attempt,
        )  # fmt: skip
        if not lasting:
            await self.remember(conditions=conditions)
        elif phase is not ExtensionPhase.REMOVED:
            await self.remember(
                generation=desired.generation,
                revision=desired.revision,
                spec_digest=desired.spec_digest,
                rollout_id=desired.rollout_id,
                phase=phase,
                reason=reason,
                attempt=attempt,
                conditions=conditions,
            )

    async def remember(self, **changes: object) -> None:
        """Write the record with these fields changed, when that changes it."""
        await self.save(self.record.model_copy(update=changes))

    async def save(self, record: ExtensionRecord) -> None:
        """Write the record unless it is what the cluster holds already."""
        if record != self.record:
            if self._records is not None:
                await self._records.save(record)
            self.record = record
