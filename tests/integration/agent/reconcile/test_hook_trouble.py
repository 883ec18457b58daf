"""A hook that does not end is told by its Job, its pod and the reason, not by helm's deadline."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.contract.extension import Readiness
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release, chart_archive, inline_chart

HOOK = """
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-migrate
  annotations:
    helm.sh/hook: %s
    helm.sh/hook-delete-policy: %s
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      %s
      containers: [{name: main, image: "busybox:%s", command: [sh, -c, "%s"]}]
"""
SHORT = Readiness(timeout=timedelta(seconds=4))


def hook(
    when: str = "pre-install,pre-upgrade",
    *,
    kept: bool = True,
    more: str = "",
    tag: str = "1.37",
    command: str = "true",
) -> Source:
    policy = "before-hook-creation" if kept else "before-hook-creation,hook-failed"
    return inline_chart(chart_archive(migrate=HOOK % (when, policy, more, tag, command)))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """helm gives up after the readiness timeout, however short that is."""
    monkeypatch.setattr("agent.reconcile.helm_deployer._HOOK_SECONDS_MIN", 4.0)
    monkeypatch.setattr("agent.reconcile.helm_deployer._REMOVE_SECONDS", 3.0)


async def test_a_hook_that_cannot_run_is_told_by_its_pod_and_the_reason(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    nowhere = "nodeSelector: {disk: fast}"
    releases = {
        "unplaced": hook(more=nowhere),
        "unpulled": hook(tag="broken"),
        "swept": hook(tag="broken", kept=False),
        "failing": hook(command="exit 3"),
        "leaving": hook("pre-delete", more=nowhere),
    }
    wanted = {
        name: Release(name, namespace, source, readiness=SHORT) for name, source in releases.items()
    }
    async with start_engine(max_attempts=1, concurrency=5) as running:
        running.submit(*(release.present() for release in wanted.values()))
        told = {name: (await running.failed(name)).message for name in wanted if name != "leaving"}
        await running.until(lambda e: e.extension == "leaving" and e.seconds is not None)
        running.submit(wanted["leaving"].next().absent())
        last = await running.failed("leaving", 2)
    assert f"hook Job {namespace}/unplaced-migrate: pod unplaced-migrate-" in told["unplaced"]
    assert "Unschedulable: 0/" in told["unplaced"]
    assert "helm says: " in told["unplaced"]
    assert "container main: ImagePullBackOff: Back-off pulling" in told["unpulled"]
    assert 'Failed: Failed to pull image "busybox:broken"' in told["swept"]
    assert "container main: Error (exit status 3)" in told["failing"]
    assert last.reason is ReasonCode.UNINSTALL_FAILED
    assert "Unschedulable: 0/" in last.message
