"""An extension is healthy when each of its objects is; a failed pod is not, though it is over."""

from __future__ import annotations

from typing import Any

from agent.reconcile.health import judge
from agent.reconcile.objects import ObjectKey
from agent.reconcile.readiness import compute

POD = ObjectKey("", "Pod", "shop", "migrate")
CONFIG = ObjectKey("", "ConfigMap", "shop", "settings")


def pod(phase: str, **metadata: Any) -> dict[str, Any]:
    named = {"name": "migrate", "namespace": "shop", **metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": named, "status": {"phase": phase}}


def test_a_pod_that_failed_is_current_for_kstatus_and_fails_its_extension() -> None:
    assert compute(pod("Failed")).status == "Current"
    health = judge([POD], {POD: pod("Failed")})
    assert health.has_failed
    assert health.describe() == "Pod shop/migrate: Pod has completed, but not successfully"


def test_a_pod_that_is_done_is_healthy() -> None:
    assert judge([POD], {POD: pod("Succeeded")}).is_ready


def test_a_failed_pod_that_is_going_is_waited_for() -> None:
    health = judge([POD], {POD: pod("Failed", deletionTimestamp="2026-03-01T12:00:00Z")})
    assert not health.is_ready
    assert not health.has_failed


def test_what_has_failed_is_told_first() -> None:
    health = judge([CONFIG, POD], {POD: pod("Failed")})
    assert [key for key, _ in health.unready] == [POD, CONFIG]
