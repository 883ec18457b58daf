"""What goes wrong with a chart is named by its reason; what should not be applied is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from agent.reconcile.seam import ReconcileGate
from shared.contract.extension import Readiness
from shared.contract.helm_source import HelmSource
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import (
    Release,
    archive,
    chart_archive,
    config_map,
    inline_chart,
    overlay,
)

FOREIGN = """
apiVersion: v1
kind: ConfigMap
metadata: {name: stray, namespace: kube-system}
"""


def web(namespace: str, **values: object) -> Release:
    return Release("web", namespace, inline_chart(chart_archive()), values=dict(values))


async def test_values_that_do_not_fit_the_schema(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine() as running:
        running.submit(web(namespace, replicas="many").present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.VALUES_INVALID
        assert "replicas" in failed.message
        assert failed.attempt == 1
    assert not tools.exists("deployment", "web", "-n", namespace)


async def test_a_chart_that_does_not_render(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine() as running:
        running.submit(web(namespace, failRender=True).present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.BUILD_FAILED
        assert "the chart says no" in failed.message
    assert not tools.exists("deployment", "web", "-n", namespace)


async def test_an_archive_that_is_no_chart_or_holds_a_link_out(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    slip = Release("slip", namespace, inline_chart(archive({"web/../../etc/x": "1"})))
    junk = Release("junk", namespace, inline_chart(b"not an archive"))
    good = Release("good", namespace, overlay(config_map("good")))
    async with start_engine() as running:
        running.submit(slip.present(), junk.present(), good.present())
        assert (await running.failed("slip")).reason is ReasonCode.ARTIFACT_FAILED
        assert (await running.failed("junk")).reason is ReasonCode.ARTIFACT_FAILED
        await running.ready("good")
        failures = [event.extension for event in running.events if event.phase == "Failed"]
        assert sorted(failures) == ["junk", "slip"], "a verdict is told once, and not tried again"
    assert not tools.exists("secret", "-l", "owner=helm", "-n", namespace), "helm has no part in it"


async def test_a_repository_that_does_not_answer_is_tried_again_and_then_told(
    start_engine: StartEngine, namespace: str
) -> None:
    source = Source(helm=HelmSource(repo="https://127.0.0.1:1", chart="x", version="1.0.0"))
    loopback = frozenset({"127.0.0.1"})
    async with start_engine(max_attempts=2, private_hosts=loopback) as running:
        running.submit(Release("x", namespace, source).present())
        failed = await running.failed("x")
        assert failed.reason is ReasonCode.ARTIFACT_FAILED
        assert failed.attempt == 2
        before = [e for e in running.events if e.reason is ReasonCode.ARTIFACT_FAILED]
        assert [(e.phase.value, e.attempt) for e in before] == [("Applying", 1), ("Failed", 2)]


async def test_a_host_that_is_not_allowed_is_never_asked(
    start_engine: StartEngine, namespace: str
) -> None:
    source = Source(helm=HelmSource(repo="https://evil.example", chart="x", version="1.0.0"))
    async with start_engine(hosts_allowed=frozenset({"charts.example"})) as running:
        running.submit(Release("x", namespace, source).present())
        failed = await running.failed("x")
        assert failed.reason is ReasonCode.ARTIFACT_FAILED
        assert "evil.example" in failed.message


async def test_a_chart_that_reaches_beyond_the_allowed_namespaces(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    gate = ReconcileGate(allowed_namespaces=frozenset({namespace}))
    stray = replace(web(namespace), source=inline_chart(chart_archive(stray=FOREIGN)))
    async with start_engine() as running:
        running.submit(stray.present(), gate=gate)
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.NAMESPACE_FORBIDDEN
        assert "ConfigMap kube-system/stray" in failed.message
        assert not tools.exists("deployment", "web", "-n", namespace)
        running.submit(web(namespace).next().present(), gate=gate)
        await running.ready("web", 2)


async def test_a_failed_upgrade_is_reported_and_left_to_the_control_plane(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first = web(namespace)
    broken = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 70000}]}\n"
    )
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("web")
        second = first.next(source=inline_chart(chart_archive(version="2.0.0", bad=broken)))
        running.submit(second.present())
        failed = await running.failed("web", 2)
        assert failed.reason is ReasonCode.UPGRADE_FAILED
        statuses = [entry["status"] for entry in tools.history("web", namespace)]
        assert statuses == ["deployed", "failed"]
        running.submit(first.next(generation=3, revision=1).present())
        await running.ready("web", 3)
        assert tools.history("web", namespace)[-1]["status"] == "deployed"


async def test_a_secret_in_the_values_is_in_no_message(
    start_engine: StartEngine, namespace: str
) -> None:
    release = web(namespace, password="planted-canary-1", replicas="planted")
    async with start_engine() as running:
        running.submit(release.present())
        await running.failed("web")
        assert "planted-canary" not in "".join(e.model_dump_json() for e in running.events)


POD = """
apiVersion: v1
kind: Pod
metadata: {name: "pod-{{ .Values.replicas }}"}
spec: {containers: [{name: main, image: {{ .Values.image | quote }}}]}
"""
MANY = """
{{- range $n := until (int .Values.replicas) }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: many-{{ $n }}}
{{- end }}
"""


async def test_an_upgrade_that_would_delete_more_than_the_cap_does_nothing(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    chart = chart_archive(deployment="", config="", many=MANY)
    first = Release("web", namespace, inline_chart(chart), values={"replicas": 5})
    async with start_engine(prune_cap=3) as running:
        running.submit(first.present())
        await running.ready("web")
        running.submit(first.next(values={"replicas": 1}).present())
        capped = await running.failed("web", 2)
        assert capped.reason is ReasonCode.PRUNE_CAPPED
        assert "4 objects would be deleted, the cap is 3" in capped.message
        assert len(tools.history("web", namespace)) == 1
        assert tools.exists("configmap", "many-4", "-n", namespace)
        running.submit(first.next(values={"replicas": 2}, generation=3, revision=3).present())
        await running.ready("web", 3)
        assert not tools.exists("configmap", "many-4", "-n", namespace)


async def test_a_rollback_of_a_chart_takes_away_whatever_the_failed_revision_brought(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    chart = chart_archive(deployment="", config="", many=MANY, pod=POD)
    first = Release("web", namespace, inline_chart(chart), values={"replicas": 1})
    broken = {"replicas": 6, "image": "nginx:broken"}
    short = Readiness(timeout=timedelta(seconds=1))
    async with start_engine(prune_cap=3) as running:
        running.submit(first.present())
        await running.ready("web")
        running.submit(first.next(values=broken, readiness=short).present())
        await running.failed("web", 2)
        assert tools.exists("configmap", "many-5", "-n", namespace)
        running.submit(first.next(generation=3, revision=1).present())
        await running.ready("web", 3)
        assert not tools.exists("configmap", "many-5", "-n", namespace)
