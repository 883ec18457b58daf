"""Readiness checks in CEL take the place of kstatus where a kind follows no convention."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from agent.errors import StepFailed
from agent.reconcile.cel import SECONDS_LIMIT, Expression
from agent.reconcile.checks import Checks
from agent.reconcile.health import judge
from agent.reconcile.objects import ObjectKey
from agent.reconcile.observed import ObservedObjects
from shared.contract.extension import DriftTarget, ReadinessCheck
from shared.contract.reasons import ReasonCode

KEY = ObjectKey("example.com", "Database", "shop", "db")


def database(**status: Any) -> dict[str, Any]:
    meta = {"name": "db", "namespace": "shop", "generation": 2}
    return {
        "apiVersion": "example.com/v1",
        "kind": "Database",
        "metadata": meta,
        "spec": {"replicas": 2},
        "status": status,
    }


def checks(current: str, failed: str | None = None, kind: str = "Database") -> Checks:
    target = DriftTarget(kind=kind)
    return Checks.compile([ReadinessCheck(target=target, current=current, failed=failed)])


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Running", "members": 2}, "Current"),
        ({"phase": "Running", "members": 1}, "InProgress"),
        ({"phase": "Broken", "members": 2}, "Failed"),
        ({}, "InProgress"),
        ({"phase": "Running", "members": 2, "observedGeneration": 1}, "InProgress"),
    ],
)
def test_a_check_decides(status: dict[str, Any], expected: str) -> None:
    found = checks(
        "status.phase == 'Running' && status.members == spec.replicas", "status.phase == 'Broken'"
    )
    health = judge([KEY], {KEY: database(**status)}, found)
    assert [state.status.value for _, state in health.unready] == (
        [] if expected == "Current" else [expected]
    )


def test_an_object_that_is_not_there_or_not_meant_is_not_asked() -> None:
    always = checks("true")
    assert judge([KEY], {}, always).unready[0][1].status == "NotFound"
    going = database()
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert judge([KEY], {KEY: going}, always).unready[0][1].status == "Terminating"
    assert judge([KEY], {KEY: database()}, checks("false", kind="Other")).is_ready


def test_an_answer_that_is_no_truth_value_is_not_ready() -> None:
    assert not judge([KEY], {KEY: database(phase="x")}, checks("status.phase")).is_ready


@pytest.mark.parametrize("odd", [None, 3, 1.5, "x", True, {"a": None}, 10**30, float("inf")])
@pytest.mark.parametrize(
    "text",
    [
        "status.seen.exists(c, c.type == 'Ready' && c.status == 'True')",
        "size(status.seen) > 7 && int(status.seen) > 7",
        "status.seen['a'] == 'b'",
        "timestamp(status.seen) < timestamp('2020-01-01T00:00:00Z')",
    ],
)
def test_a_field_of_another_type_is_not_ready_yet(text: str, odd: Any) -> None:
    (found,) = judge([KEY], {KEY: database(seen=odd)}, checks(text)).unready
    assert found[1].reason == "CheckNotMet"


@pytest.mark.parametrize(
    "text",
    [
        "spec.items.all(x, spec.items.exists(y, x + y < 0))",
        "spec.items.map(x, spec.text + spec.text).size() > 0",
        "spec.items.all(x, string(spec.text) != '')",
        "spec.items.map(x, spec.items + spec.items).size() > 0",
    ],
)
def test_a_check_that_costs_too_much_is_ended_and_failed_with_its_reason(text: str) -> None:
    big = database()
    big["spec"] = {"items": list(range(3000)), "text": "x" * 500_000}
    began = time.monotonic()
    (found,) = judge([KEY], {KEY: big}, checks(text)).unready
    assert time.monotonic() - began < 2 * SECONDS_LIMIT, "by its time where not by its cost"
    assert (found[1].status, found[1].reason) == ("Failed", "CostLimitExceeded")
    assert "costs more than 100000 units on this object" in found[1].message
    assert text in found[1].message


def test_a_check_that_looks_at_each_of_a_thousand_items_is_within_its_budget() -> None:
    many = database(conditions=[{"type": f"c{i}", "status": "True"} for i in range(1000)])
    found = checks("status.conditions.all(c, c.status == 'True' || c.type == 'Odd')")
    assert judge([KEY], {KEY: many}, found).is_ready


def test_what_the_library_raises_over_an_object_is_not_ready_and_says_what(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def odd(*_: object) -> bool:
        raise LookupError("planted-canary-secret")

    found = checks("status.phase == 'x'")
    monkeypatch.setattr(Expression, "holds", odd)
    (state,) = judge([KEY], {KEY: database()}, found).unready
    assert state[1].reason == "CheckNotMet"
    assert "it cannot be evaluated (LookupError): status.phase" in state[1].message


def test_an_object_is_asked_again_only_when_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    whole = Expression.holds

    def counted(self: Expression, fields: dict[str, Any]) -> bool:
        asked.append(fields["metadata"]["resourceVersion"])
        return whole(self, fields)

    monkeypatch.setattr(Expression, "holds", counted)
    found, live = checks("status.phase == 'x'"), database(phase="x")
    for version in ("1", "1", "2", "1"):
        live["metadata"] |= {"uid": "u", "resourceVersion": version}
        assert judge([KEY], {KEY: live}, found).is_ready
    assert asked == ["1", "2", "1"]


async def test_the_loop_goes_on_while_a_check_is_asked() -> None:
    big = database()
    big["metadata"] |= {"uid": "u"}
    big["spec"] = {"items": list(range(3000))}
    observed = ObservedObjects()
    slow = checks("spec.items.all(x, spec.items.exists(y, x + y < 0))")
    observed.expect([big], {KEY: big}, slow)
    judging, turns = asyncio.create_task(observed.health()), 0
    while not judging.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 100, "heartbeats have their turns"
    assert judging.result().has_failed


def test_what_is_not_cel_is_refused_before_anything_is_applied() -> None:
    with pytest.raises(StepFailed) as caught:
        checks("status.phase ==")
    assert caught.value.reason is ReasonCode.BUILD_FAILED
    assert caught.value.final
