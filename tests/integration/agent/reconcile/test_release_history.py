"""What stands in a release's history, and what helm is given and does: hooks, values, limits."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.conftest import BIN, StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release, chart_archive, inline_chart

HOOK = """
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-before
  annotations: {helm.sh/hook: "pre-install,pre-upgrade"}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: busybox:1.37
          command: ["sh", "-c", {{ .Values.testCommand | quote }}]
"""


def web(namespace: str, source: Source | None = None, **values: object) -> Release:
    chart = source or inline_chart(chart_archive())
    return Release("web", namespace, chart, values=dict(values))


def keeping_its_history() -> Source:
    source = inline_chart(chart_archive())
    assert source.helm is not None
    return Source(helm=source.helm.model_copy(update={"keep_history": True}))


def statuses(tools: Tools, namespace: str) -> list[str]:
    return [entry["status"] for entry in tools.history("web", namespace)]


async def test_a_history_that_is_to_be_kept_outlives_its_release_and_goes_on_with_the_next(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    kept, forgotten = web(namespace, keeping_its_history()), web(namespace)
    async with start_engine() as running:
        running.submit(kept.present())
        await running.ready("web")
        running.submit(kept.next().absent())
        removed = await running.removed("web", 2)
        assert "but its Helm history" in removed.message
        assert statuses(tools, namespace) == ["uninstalled"]
        assert not tools.exists("deployment", "web", "-n", namespace)
        running.submit(forgotten.next(generation=3).present())
        await running.ready("web", 3)
        assert statuses(tools, namespace)[-1] == "deployed"
        assert tools.history("web", namespace)[-1]["revision"] == 2
        running.submit(forgotten.next(generation=4).absent())
        await running.removed("web", 4)
    assert not tools.exists("secret", "-l", "owner=helm", "-n", namespace), "no history is left"


async def test_a_history_is_no_longer_than_its_limit(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    release = web(namespace, inline_chart(chart_archive(deployment="")))
    async with start_engine(history_max=2) as running:
        for generation in (1, 2, 3):
            release = release.next(generation=generation, values={"greeting": f"g{generation}"})
            running.submit(release.present())
            await running.ready("web", generation)
    history = [(each["revision"], each["status"]) for each in tools.history("web", namespace)]
    assert history == [(2, "superseded"), (3, "deployed")]


async def test_hooks_run_before_anything_else_and_stop_it_when_they_fail(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    source = inline_chart(chart_archive(before=HOOK))
    bad, good = {"testCommand": "exit 1"}, {"testCommand": "true"}
    async with start_engine(max_attempts=1) as running:
        release = web(namespace, source, **bad)
        running.submit(release.present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.INSTALL_FAILED
        assert "pre-install" in failed.message
        assert statuses(tools, namespace) == ["failed"]
        assert not tools.exists("deployment", "web", "-n", namespace)
        release = release.next(values=good)
        running.submit(release.present())
        await running.ready("web", 2)
        assert statuses(tools, namespace) == ["deployed"]
        job = tools.get("job", "web-before", "-n", namespace)
        assert job["status"]["succeeded"] == 1
        running.submit(release.next(values={**bad, "greeting": "bye"}).present())
        failed = await running.failed("web", 3)
        assert failed.reason is ReasonCode.UPGRADE_FAILED
        assert statuses(tools, namespace) == ["deployed", "failed"]
    assert tools.get("cm", "web-config", "-n", namespace)["data"]["greeting"] == "hello"


@pytest.fixture
def watched_helm(tmp_path: Path) -> Path:
    """The real helm, behind a program that writes down what it is given and becomes it."""
    tool = tmp_path / "helm"
    tool.write_text(
        f"#!{sys.executable}\n"
        "import json, os, stat, sys\n"
        "files = [a[9:] for a in sys.argv if a.startswith('--values=')]\n"
        "modes = [stat.S_IMODE(os.stat(f).st_mode) for f in files]\n"
        f"with open({str(tmp_path / 'seen')!r}, 'a') as seen:\n"
        "    seen.write(json.dumps([sys.argv, dict(os.environ), files, modes]) + '\\n')\n"
        f"os.execv({str(BIN / 'helm')!r}, sys.argv)\n"
    )
    tool.chmod(stat.S_IRWXU)
    return tool


async def test_values_reach_helm_in_a_file_for_the_agent_alone_and_nowhere_else(
    start_engine: StartEngine,
    tools: Tools,
    namespace: str,
    watched_helm: Path,
    tmp_path: Path,
) -> None:
    async with start_engine(helm=watched_helm, work_dir=tmp_path / "work") as running:
        running.submit(web(namespace, password="planted-canary-value").present())
        await running.ready("web")
    secret = tools.get("secret", "web-secret", "-n", namespace)["data"]["password"]
    assert secret == "cGxhbnRlZC1jYW5hcnktdmFsdWU=", "the values did arrive"
    seen: list[list[Any]] = [
        json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()
    ]
    assert [modes for *_, modes in seen] == [[0o600]]
    [(arguments, environment, [file], _)] = seen
    assert "canary" not in json.dumps([arguments, environment])
    assert not Path(file).exists()
