"""The cluster's conditions as the agent sees them (KEP-1623): set by those who know, shown in the
resource's status. `lastTransitionTime` moves only when `status` moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from shared.contract.reasons import ReasonCode
from shared.contract.states import ConditionStatus
from shared.contract.status import Condition, ConditionType

MESSAGE_CHARACTERS = 1024
_ORDER = tuple(ConditionType)


class ConditionBoard:
    """The current conditions of one cluster."""

    def __init__(
        self, now: Callable[[], datetime], on_change: Callable[[Condition, bool], None]
    ) -> None:
        """`on_change` hears each condition that says something new, and whether status moved."""
        self._now = now
        self._on_change = on_change
        self._conditions: dict[ConditionType, Condition] = {}
        self.observed_generation = 0

    def restore(
        self, stored: Iterable[dict[str, Any]], *, but: tuple[ConditionType, ...] = ()
    ) -> None:
        """Take over what the status holds, so that transition times outlive a restart."""
        for item in stored:
            try:
                condition = Condition.model_validate(item)
            except ValidationError:
                continue  # of a later release, or another writer; it is written anew when due
            if condition.type not in but:
                self._conditions[condition.type] = condition

    def set(
        self, kind: ConditionType, status: bool | None, reason: ReasonCode, message: str = ""
    ) -> None:
        """State a condition; None is Unknown."""
        told = {True: ConditionStatus.TRUE, False: ConditionStatus.FALSE}
        value = ConditionStatus.UNKNOWN if status is None else told[status]
        before = self._conditions.get(kind)
        kept = before is not None and before.status is value
        since = before.last_transition_time if before and kept else self._now()
        after = Condition(
            type=kind,
            status=value,
            reason=reason,
            message=message[:MESSAGE_CHARACTERS],
            last_transition_time=since,
            observed_generation=self.observed_generation,
        )
        if after == before:
            return
        self._conditions[kind] = after
        news = before is None or (after.status, after.reason, after.message) != (
            before.status,
            before.reason,
            before.message,
        )
        if news:
            self._on_change(after, not kept)

    def get(self, kind: ConditionType) -> Condition | None:
        """One condition; None while nothing is known."""
        return self._conditions.get(kind)

    def all(self) -> tuple[Condition, ...]:
        """Every condition that was stated, in a fixed order."""
        return tuple(self._conditions[kind] for kind in _ORDER if kind in self._conditions)
