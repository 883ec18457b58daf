"""Drift on a cluster: seen within seconds, told by field and manager, set right when asked."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from agent.reconcile.seam import EventDraft
from shared.contract.extension import DriftIgnore, DriftMode, DriftPolicy, DriftTarget, Readiness
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.contract.status import Difference
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import (
    Release,
    chart_archive,
    config_map,
    inline_chart,
    overlay,
)

WARN = DriftPolicy(mode=DriftMode.WARN, interval=timedelta(hours=1))
CORRECT = DriftPolicy(mode=DriftMode.CORRECT, interval=timedelta(hours=1))


def web(namespace: str, drift: DriftPolicy = WARN) -> Release:
    return Release("web", namespace, inline_chart(chart_archive()), drift=drift)


def drifted(event: EventDraft) -> bool:
    return event.drift is not None and bool(event.drift.differences)


def clean(event: EventDraft) -> bool:
    return event.reason is ReasonCode.NO_DRIFT_DETECTED


async def test_an_edit_is_told_with_its_path_and_manager_and_a_correction_sets_it_right(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    release = web(namespace)
    async with start_engine() as running:
        running.submit(release.present())
        await running.until(clean)
        patch = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
        tools.kubectl(
            "patch", "deployment", "web", "-n", namespace, "--type=json",
            f"-p={json.dumps(patch)}", "--field-manager=a-person",
        )  # fmt: skip
        event = await running.until(drifted, seconds=10)
        assert event.drift is not None
        (found,) = event.drift.differences
        assert (found.object_kind, found.name, found.path) == (
            "Deployment",
            "web",
            "/spec/replicas",
        )
        assert (found.desired, found.observed) == (1, 3)
        assert found.managers == ("a-person",)

        running.events.clear()
        asked = Release(**{**vars(release), "correction": 1})
        running.submit(asked.present())
        corrected = await running.until(lambda e: e.reason is ReasonCode.DRIFT_CORRECTED)
        assert corrected.drift is not None
        assert (corrected.drift.correction, corrected.drift.differences) == (1, ())
    assert tools.get("deployment", "web", "-n", namespace)["spec"]["replicas"] == 1
    assert len(tools.history("web", namespace)) == 1


async def test_mode_correct_brings_back_what_was_changed_or_deleted(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine() as running:
        running.submit(web(namespace, CORRECT).present())
        await running.until(clean)
        tools.kubectl("delete", "configmap", "web-config", "-n", namespace)
        tools.kubectl(
            "patch", "service", "web", "-n", namespace, "--type=merge",
            '-p={"spec": {"selector": {"app": "other"}}}',
        )  # fmt: skip
        await running.until(lambda e: e.reason is ReasonCode.DRIFT_CORRECTED)
    assert tools.get("cm", "web-config", "-n", namespace)["data"] == {"greeting": "hello"}
    selector = tools.get("service", "web", "-n", namespace)["spec"]["selector"]
    assert selector == {"app": "web"}


async def test_a_changed_key_of_a_list_is_set_right_although_an_apply_alone_is_refused(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine() as running:
        running.submit(web(namespace, CORRECT).present())
        await running.until(clean)
        tools.kubectl(
            "patch", "service", "web", "-n", namespace, "--type=json",
            '-p=[{"op": "replace", "path": "/spec/ports/0/port", "value": 8080}]',
        )  # fmt: skip
        await running.until(lambda e: e.reason is ReasonCode.DRIFT_CORRECTED)
    live = tools.get("service", "web", "-n", namespace, "--show-managed-fields")
    assert [port["port"] for port in live["spec"]["ports"]] == [80]
    managers = {entry["manager"] for entry in live["metadata"]["managedFields"]}
    assert "helm" in managers
    assert "arcbridge-restore" not in managers


async def test_fields_that_nobody_declared_and_ignored_ones_are_no_drift(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    ignore = DriftIgnore(target=DriftTarget(kind="Deployment"), paths=("/spec/replicas",))
    policy = DriftPolicy(mode=DriftMode.WARN, interval=timedelta(seconds=1), ignore=(ignore,))
    async with start_engine() as running:
        running.submit(web(namespace, policy).present())
        await running.until(clean)
        tools.kubectl("scale", "deployment", "web", "-n", namespace, "--replicas=2")
        tools.kubectl("annotate", "deployment", "web", "-n", namespace, "mine=1")
        tools.kubectl("label", "service", "web", "-n", namespace, "team=edge")
        running.events.clear()
        for _ in range(2):
            event = await running.until(lambda e: e.drift is not None)
            assert event.drift is not None
            assert event.drift.differences == ()
            running.events.clear()


async def test_secret_data_is_told_as_a_digest_only(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine() as running:
        running.submit(web(namespace).present())
        await running.until(clean)
        tools.kubectl(
            "patch", "secret", "web-secret", "-n", namespace, "--type=merge",
            '-p={"stringData": {"password": "planted-canary-other"}}',
        )  # fmt: skip
        event = await running.until(drifted, seconds=10)
        assert event.drift is not None
        (found,) = event.drift.differences
        assert found.path == "/data/password"
        assert str(found.desired).startswith("sha256:")
        assert str(found.observed).startswith("sha256:")
        told = "".join(e.model_dump_json() for e in running.events)
        assert "planted-canary" not in told
        assert "cGxhbnRlZC1jYW5hcnk" not in told


async def test_a_correction_that_someone_keeps_undoing_is_given_up(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    source = overlay(config_map("settings", colour="blue"))
    release = Release("over", namespace, source, drift=CORRECT)
    async with start_engine(correction_attempts=2, correction_base_seconds=0.1) as running:
        running.submit(release.present())
        await running.until(clean)
        for _ in range(4):
            running.events.clear()
            tools.kubectl(
                "patch", "cm", "settings", "-n", namespace, "--type=merge",
                '-p={"data": {"colour": "red"}}', "--field-manager=a-fighter",
            )  # fmt: skip
            event = await running.until(
                lambda e: (
                    e.reason in (ReasonCode.DRIFT_CORRECTED, ReasonCode.DRIFT_CORRECTION_FAILED)
                )
            )
            if event.reason is ReasonCode.DRIFT_CORRECTION_FAILED:
                break
        assert event.reason is ReasonCode.DRIFT_CORRECTION_FAILED
        assert "a-fighter" in event.message
        tools.kubectl(
            "patch", "cm", "settings", "-n", namespace, "--type=merge",
            '-p={"data": {"colour": "green"}}', "--field-manager=a-fighter",
        )  # fmt: skip
        await running.until(lambda e: drifted(e) and "green" in e.model_dump_json())
        assert tools.get("cm", "settings", "-n", namespace)["data"] == {"colour": "green"}


async def test_what_is_one_too_many_is_told_and_taken_away_but_not_what_a_person_made(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    source = overlay(config_map("settings", colour="blue"))
    release = Release("over", namespace, source, drift=WARN)
    async with start_engine() as running:
        running.submit(release.present())
        await running.until(clean)
        for name, manager in (("left", "arcbridge"), ("copied", "kubectl-copy")):
            meta = {"name": name, "labels": {"arcbridge.io/extension": "over"}}
            tools.kubectl(
                "apply", "--server-side", f"--field-manager={manager}", "-n", namespace, "-f", "-",
                stdin=json.dumps(config_map(name, a="1") | {"metadata": meta}),
            )  # fmt: skip
        event = await running.until(drifted, seconds=10)
        assert event.drift is not None
        [found] = event.drift.differences
        assert (found.kind, found.name, found.path) == ("extra", "left", "")
        assert tools.exists("cm", "left", "-n", namespace), "warn changes nothing"
        running.submit(Release(**{**vars(release), "drift": CORRECT}).next().present())
        await running.until(lambda e: e.reason is ReasonCode.DRIFT_CORRECTED)
    assert not tools.exists("cm", "left", "-n", namespace)
    assert tools.exists("cm", "copied", "-n", namespace)
    assert tools.exists("cm", "settings", "-n", namespace)


async def test_paths_are_pointers_rules_are_for_their_target_and_status_counts_for_nothing(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    """RFC 6901: `/` in a key is `~1`, `~` is `~0`."""
    group = f"{namespace}.example.com"
    tools.kubectl("apply", "-f", "-", stdin=json.dumps(definition(group)))
    tools.kubectl("wait", "--for=condition=Established", "crd", f"gadgets.{group}")
    gadgets = [
        {
            "apiVersion": f"{group}/v1",
            "kind": "Gadget",
            "metadata": {"name": name, "annotations": {"example.com/owner": "us"}},
            "spec": {"map": {"a/b~c": "blue"}},
        }
        for name in ("watched", "free")
    ]
    ignored = DriftIgnore(
        target=DriftTarget(kind="Gadget", name="free"),
        paths=("/spec/map/a~1b~0c", "/metadata/annotations/example.com~1owner"),
    )
    policy = DriftPolicy(mode=DriftMode.WARN, interval=timedelta(seconds=1), ignore=(ignored,))
    edit = {
        "metadata": {"annotations": {"example.com/owner": "them"}},
        "spec": {"map": {"a/b~c": "red"}},
    }
    try:
        async with start_engine() as running:
            running.submit(Release("over", namespace, overlay(*gadgets), drift=policy).present())
            await running.until(clean)
            for name in ("watched", "free"):
                tools.kubectl(
                    "patch", f"gadgets.{group}", name, "-n", namespace, "--type=merge",
                    f"-p={json.dumps(edit)}", "--field-manager=a-person",
                )  # fmt: skip
            tools.kubectl(
                "patch", f"gadgets.{group}", "watched", "-n", namespace, "--type=merge",
                "--subresource=status", '-p={"status": {"map": {"a/b~c": "grey"}}}',
            )  # fmt: skip
            event = await running.until(lambda e: drifted(e) and len(differences(e)) == 2)
            assert {
                (d.name, d.path, d.desired, d.observed, d.managers) for d in differences(event)
            } == {
                ("watched", "/metadata/annotations/example.com~1owner", "us", "them", PERSON),
                ("watched", "/spec/map/a~1b~0c", "blue", "red", PERSON),
            }
            seen = {d.path: d.first_seen for d in differences(event)}
            running.events.clear()
            later = await running.until(lambda e: e.drift is not None)
            assert {d.path: d.first_seen for d in differences(later)} == seen
            assert later.drift is not None
            assert later.drift.checked_at > max(seen.values())
    finally:
        tools.kubectl("delete", "crd", f"gadgets.{group}", "--wait=false")


PERSON = ("a-person",)


def differences(event: EventDraft) -> tuple[Difference, ...]:
    return event.drift.differences if event.drift else ()


def definition(group: str) -> dict[str, Any]:
    """A kind with a free map in spec and status."""
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": free, "status": free}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"gadgets.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def test_health_that_is_lost_and_comes_back_is_told(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    release = Release(
        **{**vars(web(namespace)), "readiness": Readiness(timeout=timedelta(seconds=20))}
    )
    async with start_engine(health_grace_seconds=0.5) as running:
        running.submit(release.present())
        await running.until(clean)
        running.events.clear()
        tools.kubectl("set", "image", "deployment/web", "-n", namespace, "main=nginx:broken")
        tools.kubectl("delete", "pods", "-n", namespace, "-l=app=web", "--wait=false")
        lost = await running.failed("web")
        assert lost.reason is ReasonCode.HEALTH_CHECK_FAILED
        running.events.clear()
        tools.kubectl("set", "image", "deployment/web", "-n", namespace, "main=nginx:1.27")
        await running.ready("web")


async def test_an_object_whose_label_is_taken_off_is_no_lost_one(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine(health_grace_seconds=0.3) as running:
        running.submit(web(namespace).present())
        await running.until(clean)
        tools.kubectl("label", "deployment", "web", "-n", namespace, "arcbridge.io/extension-")
        async with asyncio.timeout(20):
            while not tools.exists("deployment", "-n", namespace, "-l", "arcbridge.io/extension"):
                await asyncio.sleep(0.1)
        assert all(event.phase is not ExtensionPhase.FAILED for event in running.events)


async def test_the_interval_reports_even_when_nothing_happens(
    start_engine: StartEngine, namespace: str
) -> None:
    policy = DriftPolicy(mode=DriftMode.WARN, interval=timedelta(seconds=1))
    async with start_engine() as running:
        running.submit(web(namespace, policy).present())
        await running.until(clean)
        running.events.clear()
        await running.until(clean, seconds=5)


async def test_what_was_deleted_while_the_agent_was_down_is_told_at_once(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    release = web(namespace)
    async with start_engine() as running:
        running.submit(release.present())
        await running.until(clean)
    tools.kubectl("delete", "service", "web", "-n", namespace)
    async with start_engine(health_grace_seconds=0.5) as running:
        running.submit(release.present())
        event = await running.until(drifted, seconds=10)
        assert event.drift is not None
        assert [d.kind.value for d in event.drift.differences] == ["missing"]
        lost = await running.failed("web", seconds=10)
        assert f"Service {namespace}/web" in lost.message
