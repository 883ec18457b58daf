"""After a kill at any moment the next reconcile sets right what was left, without a person."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.contract.reasons import ReasonCode
from tests.integration.agent.reconcile.conftest import BIN, StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release, chart_archive, inline_chart, overlay

HOOK = """
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-before
  annotations: {helm.sh/hook: "pre-install,pre-upgrade,pre-rollback"}
spec:
  template:
    metadata:
      annotations:
        arcbridge.io/ready-delay: {{ eq .Values.testCommand "true" | ternary "0.1" "600" | quote }}
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: busybox:1.37
          command: ["sh", "-c", {{ .Values.testCommand | quote }}]
"""


def web(namespace: str, **values: object) -> Release:
    return Release("web", namespace, inline_chart(chart_archive()), values=dict(values))


def killed(
    tools: Tools, namespace: str, status: str, verb: str, *arguments: str
) -> list[dict[str, Any]]:
    """The history that a helm leaves which is killed while a hook keeps it in that state."""
    with subprocess.Popen(
        [str(BIN / "helm"), verb, "web", *arguments, "-n", namespace,
         f"--kubeconfig={tools.kubeconfig}"],
        env={"HOME": str(tools.home), "PATH": ""}, stdout=subprocess.DEVNULL,
    ) as helm:  # fmt: skip
        ends = time.monotonic() + 60
        pending = ("get", "secret", "-n", namespace, "-o", "name", f"-lstatus={status}")
        while not tools.kubectl(*pending):
            assert helm.poll() is None, "helm ended before it could be killed"
            assert time.monotonic() < ends, f"the release does not become {status}"
            time.sleep(0.1)
        helm.kill()
    return tools.history("web", namespace)


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback"])
async def test_a_release_whose_helm_was_killed_is_freed(
    start_engine: StartEngine, tools: Tools, namespace: str, tmp_path: Path, status: str
) -> None:
    first = replace(web(namespace), source=inline_chart(chart_archive(hook=HOOK)))
    chart = tmp_path / "web.tgz"
    chart.write_bytes(chart_archive(hook=HOOK))
    place = ("-n", namespace, "--create-namespace")
    hangs = "--set=testCommand=sleep 600"
    match status:
        case "pending-install":
            left = killed(
                tools, namespace, status, "install", str(chart), "--create-namespace", hangs
            )
        case "pending-upgrade":
            tools.helm("install", "web", str(chart), *place)
            left = killed(tools, namespace, status, "upgrade", str(chart), hangs)
        case _:
            tools.helm("install", "web", str(chart), *place, "--no-hooks", hangs)
            tools.helm("upgrade", "web", str(chart), *place, "--reset-values")
            left = killed(tools, namespace, status, "rollback", "1")
    assert left[-1]["status"] == status
    async with start_engine() as running:
        running.submit(replace(first, values={"greeting": "again"}).present())
        await running.ready("web")
    history = [(entry["revision"], entry["status"]) for entry in tools.history("web", namespace)]
    assert history[-1] == (len(left) + 1, "deployed")
    assert [s for _, s in history].count("deployed") == 1
    assert not [s for _, s in history if s.startswith("pending")]
    assert tools.get("cm", "web-config", "-n", namespace)["data"]["greeting"] == "again"


async def test_a_first_install_that_failed_is_retried_cleanly(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    bad = "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 70000}]}\n"
    first = replace(web(namespace), source=inline_chart(chart_archive(bad=bad)))
    async with start_engine(max_attempts=2) as running:
        running.submit(first.present())
        assert (await running.failed("web")).reason is ReasonCode.INSTALL_FAILED
        running.submit(web(namespace).next().present())
        await running.ready("web", 2)
    history = [(entry["revision"], entry["status"]) for entry in tools.history("web", namespace)]
    assert history == [(1, "deployed")], "nothing is left of the attempts that failed"


async def test_a_release_that_someone_installed_by_hand_is_adopted(
    start_engine: StartEngine, tools: Tools, namespace: str, tmp_path: Path
) -> None:
    chart = tmp_path / "web.tgz"
    chart.write_bytes(chart_archive())
    tools.helm("install", "web", str(chart), "-n", namespace, "--create-namespace")
    uid = tools.get("deployment", "web", "-n", namespace)["metadata"]["uid"]
    async with start_engine() as running:
        running.submit(web(namespace, greeting="adopted").present())
        await running.ready("web")
    history = [(entry["revision"], entry["status"]) for entry in tools.history("web", namespace)]
    assert history == [(1, "superseded"), (2, "deployed")], "it goes on with the person's history"
    live = tools.get("deployment", "web", "-n", namespace)["metadata"]
    assert (live["uid"], live["labels"]["arcbridge.io/extension"]) == (uid, "web")
    assert tools.get("cm", "web-config", "-n", namespace)["data"]["greeting"] == "adopted"


async def test_a_rollback_by_hand_is_undone(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first = web(namespace)
    second = first.next(values={"greeting": "two"})
    async with start_engine() as running:
        running.submit(first.present())
        await running.ready("web")
        running.submit(second.present())
        await running.ready("web", 2)
    tools.helm("rollback", "web", "1", "-n", namespace)
    async with start_engine() as running:
        running.submit(second.present())
        await running.ready("web", 2)
    assert tools.get("cm", "web-config", "-n", namespace)["data"]["greeting"] == "two"


async def test_a_source_that_changes_its_kind_leaves_nothing_behind(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"a": "1"},
    }
    first = web(namespace)
    async with start_engine() as running:
        running.submit(first.present())
        await running.ready("web")
        unbuildable = overlay(settings, **{"kustomization.yaml": "resources: [missing.yaml]\n"})
        running.submit(first.next(source=unbuildable, values={}).present())
        assert (await running.failed("web", 2)).reason is ReasonCode.BUILD_FAILED
        assert tools.exists("deployment", "web", "-n", namespace)

        running.submit(first.next(source=overlay(settings), values={}, generation=3).present())
        await running.ready("web", 3)
        assert not tools.exists("deployment", "web", "-n", namespace)
        unrenderable = first.next(values={"failRender": True}, generation=4)
        running.submit(unrenderable.present())
        assert (await running.failed("web", 4)).reason is ReasonCode.BUILD_FAILED
        assert tools.exists("cm", "settings", "-n", namespace)
        running.submit(first.next(generation=5).present())
        await running.ready("web", 5)
        assert not tools.exists("cm", "settings", "-n", namespace)
