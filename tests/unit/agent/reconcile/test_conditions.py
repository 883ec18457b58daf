"""Conditions move their transition time only when their status moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agent.reconcile import conditions
from agent.reconcile.seam import EventDraft
from shared.contract.reasons import ReasonCode
from shared.contract.status import ConditionType, StatusEvent

T0 = datetime(2026, 1, 1, tzinfo=UTC)
T1 = T0 + timedelta(minutes=1)


def test_the_transition_time_moves_with_the_status_only() -> None:
    first = conditions.with_verdicts(
        (), conditions.ready(ReasonCode.INSTALL_SUCCEEDED, "a"), generation=1, now=T0
    )
    again = conditions.with_verdicts(
        first, conditions.ready(ReasonCode.UPGRADE_SUCCEEDED, "b"), generation=2, now=T1
    )
    assert {c.last_transition_time for c in again} == {T0}
    assert {c.observed_generation for c in again} == {2}
    lost = conditions.with_verdicts(
        again, conditions.unhealthy(ReasonCode.HEALTH_CHECK_FAILED, "c"), generation=2, now=T1
    )
    moved = {c.type for c in lost if c.last_transition_time == T1}
    assert moved == {ConditionType.READY, ConditionType.HEALTHY}


def test_a_condition_without_a_verdict_stays() -> None:
    drifted = conditions.verdict(ConditionType.DRIFTED, True, ReasonCode.DRIFT_DETECTED)
    before = conditions.with_verdicts((), [drifted], generation=1, now=T0)
    after = conditions.with_verdicts(
        before, conditions.applying(ReasonCode.PROGRESSING, ""), generation=2, now=T1
    )
    assert ConditionType.DRIFTED in {c.type for c in after}


def test_a_draft_has_all_of_an_event_but_what_the_journal_adds() -> None:
    added = {"id", "sequence", "occurred_at"}
    assert set(EventDraft.model_fields) == set(StatusEvent.model_fields) - added
