"""helm's whole life of a release against the API server."""

from __future__ import annotations

import json

from tests.integration.kube.target import CHART, KubeTarget


def install(target: KubeTarget, *arguments: str, fails: bool = False) -> str:
    return target.helm(
        "upgrade", "--install", "web", str(CHART), "--wait", "--timeout", "40s", *arguments,
        fails=fails,
    )  # fmt: skip


def image(target: KubeTarget) -> str:
    deployment = target.get("deployment", "web")
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def test_install_waits_until_the_workload_is_ready(kube_target: KubeTarget) -> None:
    assert "STATUS: deployed" in install(kube_target)
    assert kube_target.get("deployment", "web")["status"]["availableReplicas"] == 2
    endpoints = kube_target.get("endpointslices", "-l", "kubernetes.io/service-name=web")
    assert len(endpoints["items"][0]["endpoints"]) == 2
    assert not kube_target.exists("job", "web-prepare")


def test_release_test_runs_its_pod(kube_target: KubeTarget) -> None:
    install(kube_target)
    assert "Succeeded" in kube_target.helm("test", "web", "--timeout", "40s")


def test_upgrade_to_a_broken_image_fails_and_rollback_repairs_it(kube_target: KubeTarget) -> None:
    install(kube_target)
    written = install(kube_target, "--set", "image=busybox:broken", "--timeout", "3s", fails=True)
    assert "UPGRADE FAILED" in written
    assert image(kube_target) == "busybox:broken"
    kube_target.helm("rollback", "web", "1", "--wait", "--timeout", "40s")
    assert image(kube_target) == "busybox:1.37"
    history = json.loads(kube_target.helm("history", "web", "-o", "json"))
    assert [entry["status"] for entry in history] == ["superseded", "failed", "deployed"]


def test_upgrade_changes_what_it_must_and_keeps_the_rest(kube_target: KubeTarget) -> None:
    install(kube_target)
    before = kube_target.get("service", "web")["spec"]["clusterIP"]
    install(kube_target, "--set", "greeting=goodbye", "--set", "replicas=3")
    assert kube_target.get("configmap", "web")["data"] == {"GREETING": "goodbye"}
    assert kube_target.get("deployment", "web")["status"]["readyReplicas"] == 3
    assert kube_target.get("service", "web")["spec"]["clusterIP"] == before


def test_uninstall_removes_everything(kube_target: KubeTarget) -> None:
    install(kube_target)
    kube_target.helm("uninstall", "web", "--wait", "--timeout", "40s")
    for kind in ("deployment", "service", "configmap"):
        assert not kube_target.exists(kind, "web")
    kube_target.eventually(
        lambda: not kube_target.exists("pods", "-l", "app.kubernetes.io/instance")
    )
    assert json.loads(kube_target.helm("list", "-o", "json")) == []
