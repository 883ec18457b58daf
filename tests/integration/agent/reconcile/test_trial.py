"""A trial takes a chart through its whole life, and fails where the cluster says otherwise."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.reconcile.objects import PRUNE_ANNOTATION
from dev.state import REPOSITORY
from dev.trial import __main__ as trial_program
from dev.trial import course
from dev.trial.__main__ import Place, main, parse, play
from dev.trial.course import STEPS, Step
from dev.trial.entries import Charts, Disturbance, Overlays, Trial, TrialListError
from dev.trial.tools import ClusterGoneError, ToolError, Tools
from tests.integration.agent.reconcile.conftest import BIN, cluster_of_its_own

CHART = REPOSITORY / "examples" / "web" / "chart"


@pytest.fixture
def at(tools: Tools, tmp_path: Path) -> Place:
    """The cluster under test."""
    return Place("the cluster under test", tools, tmp_path)


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """Two versions of the example's chart."""
    for version in ("1.0.0", "2.0.0"):
        folder = shutil.copytree(CHART, tmp_path / version)
        facts = yaml.safe_load((folder / "Chart.yaml").read_text())
        (folder / "Chart.yaml").write_text(yaml.safe_dump(facts | {"version": version}))
    return Charts(first=tmp_path / "1.0.0", second=tmp_path / "2.0.0")


def trial(namespace: str, charts: Charts | None, **changes: Any) -> Trial:
    """An entry with short waits."""
    given: dict[str, Any] = {
        "name": namespace,
        "namespace": namespace,
        "helm": charts,
        "disturb": Disturbance(kind="Deployment", name=namespace, path="/spec/replicas", value=4),
        "timeout": timedelta(seconds=60),
        "quiet": timedelta(seconds=0.2),
    }
    return Trial(**(given | changes))


def overlay(folder: Path, name: str, text: str, *, kept: bool = False) -> Path:
    """An overlay of one ConfigMap."""
    marks = {"annotations": {PRUNE_ANNOTATION: "disabled"}} if kept else {}
    meta = {"name": name, **marks}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"text": text}}
    folder.mkdir()
    (folder / "kustomization.yaml").write_text("resources: [config.yaml]\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def ends(steps: list[Step]) -> list[tuple[str, bool]]:
    return [(step.name, step.held) for step in steps]


async def test_a_chart_goes_through_its_life_and_leaves_nothing(
    at: Place, tools: Tools, namespace: str, charts: Charts
) -> None:
    steps = await play(trial(namespace, charts), at)
    assert ends(steps) == [(name, True) for name in STEPS]
    assert not tools.exists("namespace", namespace)


async def test_what_another_version_left_fails_the_step_and_is_cleared(
    at: Place, tools: Tools, namespace: str, tmp_path: Path
) -> None:
    overlays = Overlays(
        first=overlay(tmp_path / "one", "first", "1", kept=True),
        second=overlay(tmp_path / "two", "second", "2"),
    )
    edit = Disturbance(kind="ConfigMap", name="second", path="/data/text", value="3")
    steps = await play(trial(namespace, None, kustomize=overlays, disturb=edit), at)
    assert ends(steps) == [("install", True), ("upgrade", False)]
    assert f"left of another version: ConfigMap {namespace}/first" in steps[-1].said
    assert not tools.exists("namespace", namespace)


async def test_a_cluster_that_goes_away_midway_is_told_in_a_line_and_leaves_no_files(
    charts: Charts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    wanted = trial("web", charts).model_dump(mode="json", exclude_none=True, by_alias=True)
    listed, state = tmp_path / "trials.yaml", tmp_path / "state"
    listed.write_text(yaml.safe_dump([wanted]))
    (state / "bin").mkdir(parents=True)
    for tool in ("helm", "kubectl"):
        (state / "bin" / tool).symlink_to(BIN / tool)
    monkeypatch.setattr(trial_program, "state_directory", lambda: state)
    monkeypatch.setattr(course, "_LOOK_SECONDS", 0.5)
    with cluster_of_its_own(tmp_path) as (server, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        told = trial_program._tell

        def end_the_cluster(step: Step) -> None:
            told(step)
            server.kill()

        monkeypatch.setattr(trial_program, "_tell", end_the_cluster)
        assert await main(parse([str(listed)])) == 1
    (said,) = capfd.readouterr().err.strip().splitlines()
    assert said.startswith("web is not cleared up after the step upgrade: the cluster does not")
    assert "helm uninstall web -n web; kubectl delete namespace web arcbridge-trial-" in said
    assert [path.name for path in state.iterdir()] == ["bin"]


def test_a_tool_that_does_not_end_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (tmp_path / "kubectl").chmod(0o700)
    tools = Tools(tmp_path / "none", tmp_path, tmp_path, seconds=0.2)
    with pytest.raises(ToolError, match=r"^kubectl get pods: no answer within 0\.2 s$"):
        tools.kubectl("get", "pods")
    with pytest.raises(ClusterGoneError, match="does not answer any more"):
        tools.find_cluster()


async def test_what_is_on_the_cluster_already_is_not_taken_over(
    at: Place, tools: Tools, namespace: str, tmp_path: Path
) -> None:
    tools.kubectl("create", "namespace", namespace)
    tools.kubectl("create", "configmap", "first", "-n", namespace)
    folder = overlay(tmp_path / "one", "first", "1")
    edit = Disturbance(kind="ConfigMap", name="first", path="/data/text", value="3")
    wanted = trial(namespace, None, kustomize=Overlays(first=folder, second=folder), disturb=edit)
    with pytest.raises(TrialListError, match=r"ConfigMap .*first is on this cluster already"):
        await play(wanted, at)
    assert tools.exists("configmap", "first", "-n", namespace)
