"""Retrying and freezing over HTTP: who may, and what a repeated request does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.joined_cluster import join
from tests.running import RunningControlPlane


@pytest.fixture
def http(running: RunningControlPlane) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as client:
        yield client


def publish(http: httpx.Client, operator: dict[str, str], name: str, *, approval: str) -> str:
    """An extension that skips clusters that cannot be reached at once; its rollout's path."""
    stage = {"name": "all", "maxConcurrent": "100%", "soak": "0s", "approval": approval}
    spec = {
        "placement": {},
        "namespace": "web",
        "source": {"kustomize": {"files": {"kustomization.yaml": "resources: []\n"}}},
        "rollout": {"stages": [stage], "offline": {"after": "0s"}},
    }
    manifest = {"kind": "Extension", "metadata": {"name": name}, "spec": spec}
    made = http.post("/api/v1/desired", headers=operator, json=manifest)
    made.raise_for_status()
    return f"/api/v1/rollouts/{made.json()['rolloutId']}"


def wait_for(http: httpx.Client, path: str, reader: dict[str, str], state: str) -> dict[str, Any]:
    end = time.monotonic() + 20
    while True:
        found: dict[str, Any] = http.get(path, headers=reader).json()
        if found["state"] == state or time.monotonic() > end:
            assert found["state"] == state, found
            return found
        time.sleep(0.2)


def test_a_retry_with_one_idempotency_key_makes_one_rollout(
    running: RunningControlPlane, http: httpx.Client
) -> None:
    operator = running.bearer("operator@demo")
    join(http, running.bearer("admin@demo"), "never-seen", env="retry")
    path = publish(http, operator, "retried", approval="none")
    wait_for(http, path, operator, "Succeeded")
    headers = {**operator, "Idempotency-Key": "retry-once"}
    first = http.post(f"{path}/retry", headers=headers)
    again = http.post(f"{path}/retry", headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["retryOf"] == path.rsplit("/", 1)[1]
    refused = http.post(f"{path}/retry", headers=operator)
    assert (refused.status_code, refused.json()["code"]) == (409, "Conflict")
    assert http.post(f"{path}/retry", headers=running.bearer("reader@demo")).status_code == 403


def test_only_who_is_on_call_lifts_a_freeze_off_a_rollout(
    running: RunningControlPlane, http: httpx.Client
) -> None:
    operator, admin = running.bearer("operator@demo"), running.bearer("admin@demo")
    join(http, admin, "frozen-one", env="frozen")
    freeze = "/api/v1/freezes/year-end"
    made = http.put(freeze, headers=operator, json={"scope": "global"})
    assert (made.status_code, made.json()["inForce"]) == (200, True)
    try:
        path = publish(http, operator, "frozen", approval="required")
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        body = {"reason": "the fix for the outage", "expiresAt": until}
        override = f"{path}/override-freeze"
        assert http.post(override, headers=operator, json=body).status_code == 403
        without_reason = {"expiresAt": until}
        assert http.post(override, headers=admin, json=without_reason).status_code == 400
        done = http.post(override, headers=admin, json=body)
        assert done.status_code == 200, done.text
        assert datetime.fromisoformat(done.json()["freezeOverrideUntil"]) == (
            datetime.fromisoformat(until)
        )
    finally:
        assert http.delete(freeze, headers=operator).status_code == 204
