"""What is known of one extension on one cluster after one more report.

State is the report with the highest (epoch, sequence): duplicates and late ones change nothing.
One thing is kept beyond that: a report that gave up on a release counts even when a newer report
overtook it on the way, so that the order of arrival does not decide whether a release failed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.states import ConditionStatus, ExtensionPhase
from shared.contract.status import ConditionType, StatusEvent


@dataclass(frozen=True, slots=True)
class Desired:
    """The release that reports are held against."""

    rollout_id: UUID
    digest: str
    generation: int


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known; `event` is the newest report, None where there was none."""

    epoch: int = 0
    sequence: int = 0
    generation: int | None = None
    phase: ExtensionPhase | None = None
    ready_since: datetime | None = None
    failed_generation: int | None = None
    failed_reason: str | None = None
    failed_message: str | None = None
    reason: str | None = None
    unheld_at: datetime | None = None
    """When the agent stopped waiting for a dependency, at this generation."""
    event: StatusEvent | None = None
    """Set by `observe` when a newer report was taken."""


def is_newer(observed: Observed, event: StatusEvent, epoch: int) -> bool:
    """True for a report that was not overtaken and is no duplicate."""
    return (epoch, event.sequence) > (observed.epoch, observed.sequence)


def speaks_of(desired: Desired, event: StatusEvent) -> bool:
    """True when the report is about the very release that stands now."""
    return (
        event.rollout_id == desired.rollout_id
        and event.spec_digest == desired.digest
        and event.observed_generation == desired.generation
    )


def gives_up(event: StatusEvent) -> bool:
    """True for a failure that the agent will not try to mend by itself."""
    retrying = any(
        c.type is ConditionType.RECONCILING and c.status is ConditionStatus.TRUE
        for c in event.conditions
    )
    return event.phase is ExtensionPhase.FAILED and not retrying


def observe(
    desired: Desired, observed: Observed, event: StatusEvent, epoch: int, now: datetime
) -> Observed:
    """What is known after `event`, received at `now` in session `epoch`."""
    if gives_up(event) and speaks_of(desired, event):
        observed = replace(
            observed,
            failed_generation=event.observed_generation,
            failed_reason=event.reason.value,
            failed_message=event.message,
        )
    if not is_newer(observed, event, epoch):
        return observed
    same = observed.generation == event.observed_generation
    done = event.phase in (ExtensionPhase.READY, ExtensionPhase.REMOVED)
    still = observed.phase is event.phase and same and observed.ready_since is not None
    goes_on = same and _waited(observed.reason) and not _waited(event.reason)
    return replace(
        observed,
        epoch=epoch,
        sequence=event.sequence,
        generation=event.observed_generation,
        phase=event.phase,
        ready_since=(observed.ready_since if still else now) if done else None,
        reason=event.reason.value,
        unheld_at=now if goes_on else observed.unheld_at if same else None,
        event=event,
    )


def _waited(reason: str | None) -> bool:
    return reason == ReasonCode.DEPENDENCY_NOT_READY
