"""After a kill at any moment the next reconcile sets right what was left, without a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.kube.client import KubeClient
from agent.reconcile.releases import SECRETS, decode_release, encode_release, load_revisions
from shared.contract.reasons import ReasonCode
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release, chart_archive, inline_chart, overlay


def web(namespace: str, **values: object) -> Release:
    return Release("web", namespace, inline_chart(chart_archive()), values=dict(values))


async def leave_pending(tools: Tools, namespace: str, status: str) -> None:
    """Put the newest revision into the state in which a killed helm leaves it."""
    async with await KubeClient.connect(tools.kubeconfig) as kube:
        newest = (await load_revisions(kube, namespace, "web"))[0]
        release = decode_release(newest.secret)
        release["info"]["status"] = status
        secret = newest.secret
        secret["metadata"]["labels"]["status"] = status
        secret["data"]["release"] = encode_release(release)
        await kube.replace(SECRETS, secret)


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback"])
async def test_a_stuck_release_is_freed(
    start_engine: StartEngine, tools: Tools, namespace: str, status: str
) -> None:
    first = web(namespace)
    async with start_engine() as running:
        running.submit(first.present())
        await running.ready("web")
    await leave_pending(tools, namespace, status)
    async with start_engine() as running:
        running.submit(first.next(values={"greeting": "again"}).present())
        await running.ready("web", 2)
    statuses = [entry["status"] for entry in tools.history("web", namespace)]
    assert statuses == ["superseded", "deployed"]
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
    assert [entry["status"] for entry in tools.history("web", namespace)] == ["deployed"]


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
    assert tools.get("deployment", "web", "-n", namespace)["metadata"]["uid"] == uid
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
