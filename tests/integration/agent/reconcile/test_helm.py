"""Helm extensions on a cluster, with the real helm: what `helm history` and live objects say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from shared.contract.extension import Readiness
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release, chart_archive, inline_chart


def web(namespace: str, **values: object) -> Release:
    """A small web application."""
    return Release("web", namespace, inline_chart(chart_archive()), values=dict(values))


async def test_install_upgrade_and_uninstall(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first = web(namespace)
    async with start_engine() as running:
        running.submit(first.present())
        ready = await running.ready("web")
        assert ready.reason is ReasonCode.INSTALL_SUCCEEDED
        assert [r["status"] for r in tools.history("web", namespace)] == ["deployed"]
        live = tools.get("deployment", "web", "-n", namespace)
        assert live["metadata"]["labels"]["arcbridge.io/extension"] == "web"
        assert live["status"]["readyReplicas"] == 1

        second = first.next(values={"greeting": "\U0001f600"})
        running.submit(second.present())
        ready = await running.ready("web", 2)
        assert ready.reason is ReasonCode.UPGRADE_SUCCEEDED
        assert tools.get("cm", "web-config", "-n", namespace)["data"]["greeting"] == "\U0001f600"
        statuses = [r["status"] for r in tools.history("web", namespace)]
        assert statuses == ["superseded", "deployed"]

        running.submit(second.next().absent())
        await running.removed("web", 3)
        assert not tools.exists("secret", "-l", "owner=helm", "-n", namespace), "nor its history"
        assert not tools.exists("deployment", "web", "-n", namespace)
        assert tools.helm("list", "-n", namespace, "-q").strip() == ""


async def test_a_release_that_is_there_already_is_not_upgraded_again(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine() as running:
        running.submit(web(namespace).present())
        await running.ready("web")
    async with start_engine() as running:
        running.submit(web(namespace).present())
        await running.ready("web")
        assert running.events[0].phase is ExtensionPhase.READY
        same_content = web(namespace).next(readiness=Readiness(timeout=timedelta(minutes=1)))
        running.submit(same_content.present())
        await running.ready("web", 2)
    assert len(tools.history("web", namespace)) == 1


async def test_a_chart_that_helm_itself_packed_is_installed(
    start_engine: StartEngine, tools: Tools, namespace: str, tmp_path: Path
) -> None:
    tools.helm("create", str(tmp_path / "packed"))
    tools.helm("package", str(tmp_path / "packed"), "-d", str(tmp_path))
    (packed,) = tmp_path.glob("*.tgz")
    release = Release("packed", namespace, inline_chart(packed.read_bytes()))
    async with start_engine() as running:
        running.submit(release.present())
        await running.ready("packed")
    assert [r["status"] for r in tools.history("packed", namespace)] == ["deployed"]


async def test_an_image_that_cannot_be_pulled_is_named(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first = web(namespace)
    async with start_engine() as running:
        running.submit(first.present())
        await running.ready("web")
        broken = first.next(
            values={"image": "nginx:broken"}, readiness=Readiness(timeout=timedelta(seconds=3))
        )
        running.submit(broken.present())
        failed = await running.failed("web", 2)
        assert failed.reason is ReasonCode.READINESS_TIMED_OUT
        assert f"Deployment {namespace}/web" in failed.message
        assert "ImagePull" in failed.message
        statuses = [r["status"] for r in tools.history("web", namespace)]
        assert statuses == ["superseded", "deployed"], "helm itself takes it for a success"
        live = tools.get("deployment", "web", "-n", namespace)
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:broken"
        assert live["status"]["unavailableReplicas"] == 1
        running.submit(first.next(generation=3, revision=1).present())
        await running.ready("web", 3)
    assert tools.history("web", namespace)[-1]["status"] == "deployed"
