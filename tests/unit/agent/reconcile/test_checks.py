"""Readiness checks in CEL take the place of kstatus where a kind follows no convention."""

from __future__ import annotations

from typing import Any

import pytest

from agent.errors import StepFailed
from agent.reconcile.checks import Checks
from agent.reconcile.health import judge
from agent.reconcile.objects import ObjectKey
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


def test_what_is_not_cel_is_refused_before_anything_is_applied() -> None:
    with pytest.raises(StepFailed) as caught:
        checks("status.phase ==")
    assert caught.value.reason is ReasonCode.BUILD_FAILED
    assert caught.value.final
