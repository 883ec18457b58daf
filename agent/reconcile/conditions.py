"""The conditions of an extension (KEP-1623). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.contract.reasons import ReasonCode
from shared.contract.states import ConditionStatus
from shared.contract.status import Condition, ConditionType


@dataclass(frozen=True)
class Verdict:
    """One condition without the bookkeeping."""

    type: ConditionType
    status: ConditionStatus
    reason: ReasonCode
    message: str = ""


def verdict(
    kind: ConditionType, holds: bool | None, reason: ReasonCode, message: str = ""
) -> Verdict:
    """A verdict; None means that it is not known."""
    status = {
        True: ConditionStatus.TRUE,
        False: ConditionStatus.FALSE,
        None: ConditionStatus.UNKNOWN,
    }
    return Verdict(kind, status[holds], reason, message)


def with_verdicts(
    conditions: Iterable[Condition],
    verdicts: Iterable[Verdict],
    *,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """The conditions after these verdicts, in order of type.

    `lastTransitionTime` moves only where `status` does; a condition without a verdict stays.
    """
    kept = {condition.type: condition for condition in conditions}
    for new in verdicts:
        old = kept.get(new.type)
        since = old.last_transition_time if old and old.status is new.status else now
        kept[new.type] = Condition(
            type=new.type,
            status=new.status,
            reason=new.reason,
            message=new.message,
            last_transition_time=since,
            observed_generation=generation,
        )
    return tuple(kept[kind] for kind in sorted(kept))


def applying(reason: ReasonCode, message: str) -> list[Verdict]:
    """Work is under way, or waits for something."""
    return [
        verdict(ConditionType.READY, None, reason, message),
        verdict(ConditionType.RECONCILING, True, reason, message),
        verdict(ConditionType.STALLED, False, ReasonCode.PROGRESSING),
    ]


def ready(reason: ReasonCode, message: str) -> list[Verdict]:
    """Applied, and every object is current."""
    return [
        verdict(ConditionType.READY, True, reason, message),
        verdict(ConditionType.RECONCILING, False, reason),
        verdict(ConditionType.STALLED, False, reason),
        verdict(ConditionType.RELEASED, True, reason),
        verdict(ConditionType.HEALTHY, True, reason),
    ]


def unhealthy(reason: ReasonCode, message: str) -> list[Verdict]:
    """Applied, but its objects are not, or no longer, current."""
    return [
        verdict(ConditionType.READY, False, reason, message),
        verdict(ConditionType.RECONCILING, False, reason),
        verdict(ConditionType.STALLED, False, reason),
        verdict(ConditionType.RELEASED, True, reason),
        verdict(ConditionType.HEALTHY, False, reason, message),
    ]


def not_released(reason: ReasonCode, message: str, *, retrying: bool) -> list[Verdict]:
    """Not applied; `retrying` says whether another attempt follows."""
    return [
        verdict(ConditionType.READY, False, reason, message),
        verdict(ConditionType.RECONCILING, retrying, reason),
        verdict(ConditionType.STALLED, not retrying, reason, "" if retrying else message),
        verdict(ConditionType.RELEASED, False, reason, message),
    ]


def removed(reason: ReasonCode) -> list[Verdict]:
    """Taken away, as asked."""
    return [
        verdict(ConditionType.READY, False, reason),
        verdict(ConditionType.RECONCILING, False, reason),
        verdict(ConditionType.STALLED, False, reason),
        verdict(ConditionType.RELEASED, False, reason),
    ]
