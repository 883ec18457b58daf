"""What stood on the cluster before an extension came is never taken away with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.contract.extension import DriftMode, DriftPolicy
from shared.contract.reasons import ReasonCode
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import (
    Release,
    chart_archive,
    config_map,
    inline_chart,
    overlay,
)

QUIET = DriftPolicy(mode=DriftMode.OFF)


def over(namespace: str, *objects: dict[str, Any]) -> Release:
    return Release("over", namespace, overlay(*objects), drift=QUIET)


def make(tools: Tools, obj: dict[str, Any], namespace: str | None = None) -> None:
    where = ["-n", namespace] if namespace else []
    tools.kubectl("create", *where, "-f", "-", stdin=json.dumps(obj))


def named(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


async def test_an_object_that_refused_our_apply_outlives_the_rollback_and_the_removal(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    make(tools, named(namespace))
    make(tools, config_map("theirs", a="1"), namespace)
    first = over(namespace, config_map("one", a="1"))
    both = overlay(config_map("one", a="1"), config_map("theirs", a="2"))
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("over")
        second = first.next(source=both)
        running.submit(second.present())
        assert (await running.failed("over", 2)).reason is ReasonCode.APPLY_CONFLICT
        running.submit(second.next(source=first.source).present())
        await running.ready("over", 3)
        assert tools.get("cm", "theirs", "-n", namespace)["data"] == {"a": "1"}

        running.submit(second.next(generation=4).present())
        await running.failed("over", 4)
        running.submit(second.next(generation=5).absent())
        await running.removed("over", 5)
    assert tools.get("cm", "theirs", "-n", namespace)["data"] == {"a": "1"}
    assert not tools.exists("cm", "one", "-n", namespace)


async def test_a_namespace_that_was_there_outlives_an_install_that_never_succeeded(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    make(tools, named(namespace))
    make(tools, config_map("theirs", a="1"), namespace)
    bad = config_map("bad", a="1") | {"data": {"a": {"not": "text"}}}
    first = over(namespace, named(namespace), config_map("one", a="1"), bad)
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.failed("over")
        running.submit(first.next().absent())
        await running.removed("over", 2)
    assert tools.get("cm", "theirs", "-n", namespace)["data"] == {"a": "1"}
    assert not tools.exists("cm", "one", "-n", namespace)
    left = tools.get("namespace", namespace)
    assert "arcbridge.io/extension" not in left["metadata"].get("labels", {})


async def test_a_release_that_was_never_taken_over_is_as_it_was_after_the_removal(
    start_engine: StartEngine, tools: Tools, namespace: str, tmp_path: Path
) -> None:
    chart = tmp_path / "web.tgz"
    chart.write_bytes(chart_archive())
    tools.helm("install", "web", str(chart), "-n", namespace, "--create-namespace")
    untouched = Release("web", namespace, inline_chart(chart_archive()), values={"replicas": -1})
    async with start_engine(max_attempts=1) as running:
        running.submit(untouched.present())
        assert (await running.failed("web")).reason is ReasonCode.VALUES_INVALID
        running.submit(untouched.next().absent())
        assert "someone else's" in (await running.removed("web", 2)).message
        assert [e["status"] for e in tools.history("web", namespace)] == ["deployed"]

        bad = "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 0}]}\n"
        touched = Release("web", namespace, inline_chart(chart_archive(bad=bad)), generation=3)
        running.submit(replace(touched, values={"greeting": "ours"}).present())
        assert (await running.failed("web", 3)).reason is ReasonCode.UPGRADE_FAILED
        running.submit(touched.next().absent())
        assert "as it was" in (await running.removed("web", 4)).message
    assert tools.get("cm", "web-config", "-n", namespace)["data"]["greeting"] == "hello"
    assert tools.history("web", namespace)[-1]["status"] == "deployed"
    newest = tools.get("secret", "sh.helm.release.v1.web.v3", "-n", namespace)
    assert "arcbridge.io/release-of" not in newest["metadata"]["labels"]
