"""What nobody foresaw ends in a clear verdict of one extension, and is nobody else's trouble."""

from __future__ import annotations

import base64
import json
import logging

import pytest

from agent.drivers.charts import Charts
from agent.reconcile.drift import DriftChecker
from agent.reconcile.guard import Guard
from agent.reconcile.unforeseen import EVENT
from shared.contract.reasons import ReasonCode
from shared.contract.states import ConditionStatus, ExtensionPhase
from shared.contract.status import ConditionType
from shared.telemetry.logs import JsonFormatter
from tests.integration.agent.reconcile.conftest import RunningEngine, StartEngine, Tools
from tests.integration.agent.reconcile.sources import (
    Release,
    chart_archive,
    config_map,
    inline_chart,
    overlay,
)

CANARY = "planted-canary-secret"
SECOND_ONLY = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: second-only}\n"


def web(namespace: str, **values: object) -> Release:
    return Release("web", namespace, inline_chart(chart_archive()), values=dict(values))


def defect(*_: object, **__: object) -> None:
    raise KeyError(CANARY)


def spoil(tools: Tools, namespace: str, revision: int) -> None:
    """Overwrite what helm keeps of a revision."""
    rubbish = base64.b64encode(b"rubbish").decode()
    tools.kubectl(
        "patch", "secret", f"sh.helm.release.v1.web.v{revision}", "-n", namespace,
        "--type=merge", f"-p={json.dumps({'data': {'release': rubbish}})}",
    )  # fmt: skip


async def told_and_ready(running: RunningEngine, good: Release) -> None:
    """The other extension goes on working."""
    running.submit(good.next(source=overlay(config_map("good", a="2"))).present())
    await running.ready("good", 2)


async def test_a_defect_in_an_attempt_is_a_verdict_logged_once_and_quotes_nothing(
    start_engine: StartEngine,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Charts, "obtain", defect)
    good = Release("good", namespace, overlay(config_map("good", a="1")))
    with caplog.at_level(logging.INFO, "arcbridge"):
        async with start_engine() as running:
            running.submit(web(namespace).present(), good.present())
            failed = await running.failed("web")
            await running.ready("good")
    assert (failed.reason, failed.attempt) == (ReasonCode.INSTALL_FAILED, 3)
    assert "KeyError in agent/reconcile/helm_deployer.py, line" in failed.message
    lines = [JsonFormatter("agent").format(record) for record in caplog.records]
    (logged,) = [line for line in lines if json.loads(line)["event"] == EVENT]
    assert any("helm_deployer.py" in step for step in json.loads(logged)["fields"]["came_through"])
    assert CANARY not in "".join(lines) + "".join(e.model_dump_json() for e in running.events)


async def test_a_defect_while_a_release_is_watched_is_told_and_over_when_it_is(
    start_engine: StartEngine, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Release("good", namespace, overlay(config_map("good", a="1")))
    async with start_engine(retry_max_seconds=0.4) as running:
        with monkeypatch.context() as broken:
            broken.setattr(Guard, "look", defect)
            running.submit(good.present())
            failed = await running.failed("good")
            assert failed.reason is ReasonCode.HEALTH_CHECK_FAILED
            assert "KeyError" in failed.message
            running.events.clear()
        await running.ready("good")


async def test_a_defect_in_a_drift_check_leaves_the_extension_ready_and_says_so(
    start_engine: StartEngine, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DriftChecker, "check_all", defect)
    good = Release("good", namespace, overlay(config_map("good", a="1")))
    async with start_engine() as running:
        running.submit(good.present())
        told = await running.until(lambda e: e.message.startswith("Drift cannot be looked for"))
        assert told.phase is ExtensionPhase.READY
        drifted = {c.type: c.status for c in told.conditions}[ConditionType.DRIFTED]
        assert drifted is ConditionStatus.UNKNOWN
        (status,) = running.engine.statuses()
        assert status.ready


async def test_a_record_that_may_not_be_read_is_told_and_never_written_over(
    start_engine: StartEngine,
    tools: Tools,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = Release("good", namespace, overlay(config_map("good", a="1")))
    async with start_engine() as running:
        running.submit(good.present())
        await running.ready("good")
    async with start_engine(retry_max_seconds=0.4) as running:
        with monkeypatch.context() as broken:
            broken.setattr("agent.reconcile.record.RecordStore.load", defect)
            running.submit(good.present())
            failed = await running.failed("good")
            assert "KeyError" in failed.message
            (status,) = running.engine.statuses()
            assert (status.ready, status.reason) == (False, failed.reason)
        running.submit(good.next().absent())
        await running.removed("good", 2)
    assert not tools.exists("cm", "good", "-n", namespace), "its inventory was not forgotten"


async def test_helm_s_record_that_nobody_can_read_is_set_aside_where_there_is_an_earlier_one(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first = web(namespace)
    second = first.next(source=inline_chart(chart_archive(more=SECOND_ONLY)))
    third = first.next(generation=3, values={"greeting": "three"})
    async with start_engine() as running:
        running.submit(first.present())
        await running.ready("web")
        running.submit(second.present())
        await running.ready("web", 2)
    spoil(tools, namespace, 2)
    async with start_engine() as running:
        running.submit(third.present())
        await running.ready("web", 3)
        history = [(e["revision"], e["status"]) for e in tools.history("web", namespace)]
        assert history[-1] == (2, "deployed"), "helm goes on from the one that it can read"
        assert tools.get("cm", "web-config", "-n", namespace)["data"]["greeting"] == "three"
        assert not tools.exists("cm", "second-only", "-n", namespace), "helm had forgotten it"
        aside = tools.kubectl("get", "secret", "-n", namespace, "-o", "name")
        assert "arcbridge-unreadable.sh.helm.release.v1.web.v2" in aside
        spoil(tools, namespace, 2)
        running.submit(third.next(generation=4).absent())
        await running.removed("web", 4)
    assert "release" not in tools.kubectl("get", "secret", "-n", namespace, "-o", "name")
    assert not tools.exists("deployment", "web", "-n", namespace)


async def test_helm_s_only_record_that_nobody_can_read_is_left_to_a_person(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first = web(namespace)
    async with start_engine() as running:
        running.submit(first.present())
        await running.ready("web")
    spoil(tools, namespace, 1)
    async with start_engine() as running:
        running.submit(first.next(values={"greeting": "two"}).present())
        failed = await running.failed("web", 2)
        assert failed.reason is ReasonCode.UPGRADE_FAILED
        assert "the Secret sh.helm.release.v1.web.v1, is not readable" in failed.message
        assert "Bring it back from a backup" in failed.message
        assert tools.exists("deployment", "web", "-n", namespace)
        running.submit(first.next(generation=3).absent())
        await running.removed("web", 3)
    assert not tools.exists("deployment", "web", "-n", namespace)
    assert "release" not in tools.kubectl("get", "secret", "-n", namespace, "-o", "name")


async def test_a_right_that_is_lost_is_told_and_forgotten_once_it_is_back(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    tools.kubectl("create", "namespace", namespace)
    tools.kubectl("create", "serviceaccount", "reconciler", "-n", namespace)
    bind = (
        "create", "rolebinding", "reconciler", "-n", namespace, "--clusterrole=admin",
        f"--serviceaccount={namespace}:reconciler",
    )  # fmt: skip
    tools.kubectl(*bind)
    small = Release("over", namespace, overlay(config_map("one", a="1")))
    as_user = f"system:serviceaccount:{namespace}:reconciler"
    async with start_engine(as_user=as_user) as running:
        running.submit(small.present())
        await running.ready("over")
    tools.kubectl("delete", "rolebinding", "reconciler", "-n", namespace)
    async with start_engine(as_user=as_user, retry_max_seconds=0.4) as running:
        running.submit(small.present())
        failed = await running.failed("over")
        assert failed.reason is ReasonCode.HEALTH_CHECK_FAILED
        assert "forbidden" in failed.message
        released = {c.type: c.status for c in failed.conditions}[ConditionType.RELEASED]
        assert released is ConditionStatus.TRUE
        running.events.clear()
        tools.kubectl(*bind)
        await running.ready("over")
