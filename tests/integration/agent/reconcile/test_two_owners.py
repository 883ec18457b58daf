"""Two extensions that render the very same object: one has it, and the other is told so."""

from __future__ import annotations

from datetime import timedelta

from agent.reconcile.seam import EventDraft
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
CORRECT = DriftPolicy(mode=DriftMode.CORRECT, interval=timedelta(hours=1))
SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {by: {{ .Release.Name }}}
"""


def settings(by: str, namespace: str) -> Release:
    """An overlay that takes every field by force."""
    objects = (config_map("settings", by=by), config_map(f"of-{by}", a="1"))
    return Release(by, namespace, overlay(*objects), drift=CORRECT)


def chart(by: str, namespace: str) -> Release:
    source = inline_chart(chart_archive(deployment="", config="", settings=SETTINGS))
    return Release(by, namespace, source, drift=QUIET)


def refused(event: EventDraft, namespace: str, owner: str) -> bool:
    said = f"ConfigMap {namespace}/settings belongs to the extension {owner}"
    return event.reason is ReasonCode.APPLY_CONFLICT and said in event.message


async def test_the_second_of_two_overlays_is_refused_and_never_takes_the_object_away(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first, second = settings("first", namespace), settings("second", namespace)
    async with start_engine(max_attempts=2) as running:
        running.submit(first.present())
        await running.ready("first")
        running.submit(first.present(), second.present())
        failed = await running.failed("second")
        assert refused(failed, namespace, "first")
        assert not tools.exists("cm", "of-second", "-n", namespace), "nothing of it is applied"

        tools.kubectl(
            "patch", "cm", "settings", "-n", namespace, "--type=merge",
            '-p={"data": {"by": "a person"}}',
        )  # fmt: skip
        await running.until(lambda e: e.reason is ReasonCode.DRIFT_CORRECTED)
        running.submit(first.present(), second.next().absent())
        await running.removed("second", 2)
        live = tools.get("cm", "settings", "-n", namespace)
        assert live["data"] == {"by": "first"}
        assert live["metadata"]["labels"]["arcbridge.io/extension"] == "first"


async def test_of_two_that_come_at_once_one_has_the_object(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first, second = settings("first", namespace), settings("second", namespace)
    async with start_engine(max_attempts=2) as running:
        running.submit(first.present(), second.present())
        lost = await running.until(lambda e: e.phase.value == "Failed")
        won = await running.until(lambda e: e.phase.value == "Ready")
        assert {lost.extension, won.extension} == {"first", "second"}
        assert refused(lost, namespace, won.extension)
    assert tools.get("cm", "settings", "-n", namespace)["data"] == {"by": won.extension}


async def test_charts_and_overlays_take_nothing_from_each_other(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    ours = settings("over", namespace)
    async with start_engine(max_attempts=1) as running:
        running.submit(chart("web", namespace).present())
        await running.ready("web")
        running.submit(chart("web", namespace).present(), ours.present())
        assert refused(await running.failed("over"), namespace, "web")
        running.submit(chart("web", namespace).present(), chart("other", namespace).present())
        assert refused(await running.failed("other"), namespace, "web")
        assert tools.get("cm", "settings", "-n", namespace)["data"] == {"by": "web"}

        running.submit(chart("web", namespace).next().absent(), ours.next().present())
        await running.ready("over", 2)
        running.submit(chart("late", namespace).present(), ours.next().present())
        assert refused(await running.failed("late"), namespace, "over")
    live = tools.get("cm", "settings", "-n", namespace)
    assert live["data"] == {"by": "over"}
    assert live["metadata"]["labels"]["arcbridge.io/extension"] == "over"


async def test_an_object_whose_label_was_taken_off_still_has_its_owner(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first = Release("first", namespace, settings("first", namespace).source, drift=QUIET)
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("first")
        tools.kubectl("label", "cm", "settings", "-n", namespace, "arcbridge.io/extension-")
        running.submit(first.present(), settings("second", namespace).present())
        assert refused(await running.failed("second"), namespace, "first")
    assert tools.get("cm", "settings", "-n", namespace)["data"] == {"by": "first"}


async def test_an_object_is_handed_over_by_keeping_it_and_letting_go_of_it(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    kept = config_map("settings", by="first")
    kept["metadata"]["annotations"] = {"arcbridge.io/prune": "disabled"}
    first = Release("first", namespace, overlay(kept), drift=QUIET)
    second = settings("second", namespace)
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("first")
        uid = tools.get("cm", "settings", "-n", namespace)["metadata"]["uid"]
        without = first.next(source=overlay(config_map("of-first", a="1")))
        running.submit(without.present())
        await running.ready("first", 2)
        running.submit(without.present(), second.present())
        await running.ready("second")
        running.submit(without.next().absent(), second.present())
        await running.removed("first", 3)
    live = tools.get("cm", "settings", "-n", namespace)
    assert (live["metadata"]["uid"], live["data"]) == (uid, {"by": "second"})
    assert live["metadata"]["labels"]["arcbridge.io/extension"] == "second"
    assert "annotations" not in live["metadata"]


async def test_an_extension_under_a_new_name_waits_until_the_old_one_is_gone(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    held = config_map("of-old", a="1")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    old = Release("old", namespace, overlay(held, config_map("settings", by="old")), drift=QUIET)
    new = settings("new", namespace)
    async with start_engine(max_attempts=1) as running:
        running.submit(old.present())
        await running.ready("old")
        tools.kubectl(
            "patch", "cm", "settings", "-n", namespace, "--type=merge",
            '-p={"metadata": {"finalizers": ["example.com/hold"]}}',
        )  # fmt: skip
        running.submit(old.next().absent())
        await running.until(lambda e: e.message == "Removing")
        running.submit(old.next().absent(), new.present())
        await running.until(lambda e: e.extension == "new" and refused(e, namespace, "old"))
        for name in ("settings", "of-old"):
            tools.kubectl(
                "patch", "cm", name, "-n", namespace, "--type=merge",
                '-p={"metadata": {"finalizers": null}}',
            )  # fmt: skip
        ready = await running.ready("new")
        assert ready.attempt == 1
    assert tools.get("cm", "settings", "-n", namespace)["data"] == {"by": "new"}
