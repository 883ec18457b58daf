"""Kustomize extensions on a cluster: order, conflicts, and what is deleted and what never is."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from agent.reconcile.seam import ReconcileGate, ReconcileSettings
from shared.contract.extension import DriftMode, DriftPolicy, Readiness
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release, config_map, overlay

QUIET = DriftPolicy(mode=DriftMode.OFF)

ANYTHING = {
    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}


def over(namespace: str, *objects: dict[str, Any], **changes: Any) -> Release:
    return Release("over", namespace, overlay(*objects), drift=QUIET, **changes)


async def test_apply_prune_and_remove(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    kept = config_map("kept", a="1")
    kept["metadata"]["annotations"] = {"arcbridge.io/prune": "disabled"}
    first = over(namespace, config_map("one", a="1"), config_map("two", a="1"), kept)
    async with start_engine() as running:
        running.submit(first.present())
        assert (await running.ready("over")).reason is ReasonCode.INSTALL_SUCCEEDED
        live = tools.get("cm", "one", "-n", namespace, "--show-managed-fields")
        assert live["metadata"]["labels"]["arcbridge.io/extension"] == "over"
        assert live["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "arcbridge"
        assert [m["manager"] for m in live["metadata"]["managedFields"]] == ["arcbridge"]

        second = first.next(source=overlay(config_map("one", a="2 \U0001f600")))
        running.submit(second.present())
        await running.ready("over", 2)
        assert tools.get("cm", "one", "-n", namespace)["data"] == {"a": "2 \U0001f600"}
        assert not tools.exists("cm", "two", "-n", namespace)
        assert tools.exists("cm", "kept", "-n", namespace)

        running.submit(second.next().absent())
        await running.removed("over", 3)
        assert not tools.exists("cm", "one", "-n", namespace)
        assert tools.exists("namespace", namespace)


async def test_more_deletions_than_the_cap_change_nothing(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    many = [config_map(f"cm-{i}", a="1") for i in range(4)]
    async with start_engine(prune_cap=2) as running:
        first = over(namespace, *many)
        running.submit(first.present())
        await running.ready("over")
        running.submit(first.next(source=overlay(config_map("new", a="1"))).present())
        failed = await running.failed("over", 2)
        assert failed.reason is ReasonCode.PRUNE_CAPPED
        assert all(tools.exists("cm", f"cm-{i}", "-n", namespace) for i in range(4))
        assert not tools.exists("cm", "new", "-n", namespace)


async def test_a_rollback_takes_away_whatever_the_failed_revision_brought(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    many = [config_map(f"cm-{i}", a="1") for i in range(4)]
    stuck = {
        **POD,
        "metadata": {"name": "stuck"},
        "spec": {"containers": [{"name": "main", "image": "nginx:broken"}]},
    }
    short = Readiness(timeout=timedelta(seconds=1))
    async with start_engine(prune_cap=2) as running:
        first = over(namespace, config_map("one", a="1"))
        running.submit(first.present())
        await running.ready("over")
        running.submit(first.next(source=overlay(*many, stuck), readiness=short).present())
        await running.failed("over", 2)
        assert tools.exists("cm", "cm-3", "-n", namespace)
        running.submit(first.next(generation=3, revision=1).present())
        await running.ready("over", 3)
        left = tools.kubectl("get", "cm,pod", "-n", namespace, "-o", "name").split()
        assert [name for name in left if "kube-root-ca" not in name] == ["configmap/one"]

        running.submit(first.next(generation=4, source=overlay(*many)).present())
        await running.ready("over", 4)
        running.submit(first.next(generation=5, revision=1).present())
        capped = await running.failed("over", 5)
        assert capped.reason is ReasonCode.PRUNE_CAPPED, "these were part of what was ready"
        assert tools.exists("cm", "cm-3", "-n", namespace)


async def test_a_conflict_names_the_other_manager(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first = over(namespace, config_map("one", a="1"))
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("over")
        tools.kubectl(
            "patch", "cm", "one", "-n", namespace, "--type=merge", '-p={"data": {"a": "9"}}',
            "--field-manager=another-team",
        )  # fmt: skip
        running.submit(first.next(source=overlay(config_map("one", a="2"))).present())
        failed = await running.failed("over", 2)
        assert failed.reason is ReasonCode.APPLY_CONFLICT
        assert "another-team" in failed.message
        assert "data.a" in failed.message
    assert tools.get("cm", "one", "-n", namespace)["data"] == {"a": "9"}


async def test_custom_resources_come_after_their_definition(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    group = f"{namespace}.example.com"
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": ANYTHING},
                {"name": "v1alpha1", "served": True, "storage": False, "schema": ANYTHING},
            ],
        },
    }
    widget = {
        "apiVersion": f"{group}/v1alpha1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"size": 1},
    }
    release = over(namespace, widget, crd)
    async with start_engine() as running:
        running.submit(release.present())
        await running.ready("over")
        assert tools.get(f"widgets.{group}", "w", "-n", namespace)["spec"] == {"size": 1}

        # The version that it was applied with is dropped; the object is there all the same.
        crd["spec"]["versions"][1]["served"] = False  # type: ignore[index] # plain JSON
        running.submit(release.next(source=overlay(crd)).present())
        await running.ready("over", 2)
        assert not tools.exists(f"widgets.{group}", "w", "-n", namespace)
        running.submit(release.next(generation=3).absent())
        await running.removed("over", 3)
        assert not tools.exists("crd", f"widgets.{group}")


async def test_objects_beyond_the_allowed_namespaces_are_refused_before_anything_is_applied(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"role-{namespace}"},
        "rules": [],
    }
    gate = ReconcileGate(allowed_namespaces=frozenset({namespace}))
    async with start_engine() as running:
        running.submit(over(namespace, config_map("one", a="1"), role).present(), gate=gate)
        failed = await running.failed("over")
        assert failed.reason is ReasonCode.NAMESPACE_FORBIDDEN
        assert f"ClusterRole role-{namespace}" in failed.message
        running.submit(over(namespace, config_map("one", a="1"), generation=2).present(), gate=gate)
        await running.ready("over", 2)
        elsewhere = over("kube-system", config_map("one", a="1"), generation=3)
        running.submit(elsewhere.present(), gate=gate)
        assert (await running.failed("over", 3)).reason is ReasonCode.NAMESPACE_FORBIDDEN
    assert not tools.exists("clusterrole", f"role-{namespace}")


async def test_an_extension_waits_for_those_it_depends_on(
    start_engine: StartEngine, namespace: str
) -> None:
    base = replace(
        over(namespace, {**POD, "metadata": {"name": "base"}}),
        name="base",
        readiness=Readiness(timeout=timedelta(seconds=30)),
    )
    above = replace(over(namespace, config_map("one", a="1")), depends_on=("base",))
    async with start_engine() as running:
        running.submit(above.present())
        waiting = await running.until(lambda e: e.reason is ReasonCode.DEPENDENCY_NOT_READY)
        assert "base, which is not on this cluster" in waiting.message
        running.submit(base.present(), above.present())
        await running.ready("over")
        order = [e.extension for e in running.events if e.phase.value == "Ready"]
        assert order[:2] == ["base", "over"]


async def test_what_depends_on_another_is_taken_away_before_it(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    held = config_map("held", a="1")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    base = Release("base", namespace, overlay(config_map("base")), drift=QUIET)
    user = Release("user", namespace, overlay(held), depends_on=("base",), drift=QUIET)
    async with start_engine() as running:
        running.submit(base.present(), user.present())
        await running.ready("user")
        running.submit(base.next().absent(), user.next().absent())
        await running.until(lambda event: "waits for user" in event.message)
        assert tools.exists("cm", "base", "-n", namespace)
        tools.kubectl(
            "patch", "cm", "held", "-n", namespace, "--type=merge",
            '-p={"metadata": {"finalizers": null}}',
        )  # fmt: skip
        await running.removed("base", 2)
    gone = [e.extension for e in running.events if e.phase is ExtensionPhase.REMOVED]
    assert gone == ["user", "base"]


async def test_a_namespace_that_is_going_is_waited_for(
    start_engine: StartEngine, tools: Tools, namespace: str, settings: ReconcileSettings
) -> None:
    record = ("cm", "-n", settings.state_namespace, "-o", "jsonpath={.items[*].data}")
    held = config_map("held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    tools.kubectl("create", "namespace", namespace)
    tools.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(held))
    tools.kubectl("delete", "namespace", namespace, "--wait=false")
    async with start_engine(max_attempts=1) as running:
        running.submit(over(namespace, config_map("one", a="1")).present())
        await running.until(lambda event: event.phase is ExtensionPhase.APPLYING)
        async with asyncio.timeout(30):
            while "inventory" not in tools.kubectl("get", *record):
                await asyncio.sleep(0.05)
        tools.kubectl(
            "patch", "cm", "held", "-n", namespace, "--type=merge",
            '-p={"metadata": {"finalizers": null}}',
        )  # fmt: skip
        await running.ready("over")


async def test_a_first_apply_that_fails_is_an_install_that_failed_however_often(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    bad = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "bad"},
        "spec": {"ports": [{"port": 70000}]},
    }
    release = over(namespace, config_map("one", a="1"), bad)
    async with start_engine(max_attempts=2) as running:
        running.submit(release.present())
        failed = await running.failed("over")
        assert (failed.reason, failed.attempt) == (ReasonCode.INSTALL_FAILED, 2)
        assert f"Service {namespace}/bad" in failed.message
        running.submit(release.next(source=overlay(config_map("one", a="1"))).present())
        assert (await running.ready("over", 2)).reason is ReasonCode.INSTALL_SUCCEEDED


POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "spec": {"containers": [{"name": "main", "image": "nginx:1.27"}]},
}


async def test_a_suspended_cluster_is_not_touched(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    release = over(namespace, config_map("one", a="1"))
    async with start_engine() as running:
        running.submit(release.present(), gate=ReconcileGate(suspend=True))
        async with asyncio.timeout(20):
            while [each.reason for each in running.engine.statuses()] != [ReasonCode.SUSPENDED]:
                await asyncio.sleep(0.05)
        assert running.events == [], "a release that was said to be applied has a deadline"
        assert not tools.exists("namespace", namespace)
        running.submit(release.present())
        await running.ready("over")
        async with asyncio.timeout(5):
            while running.engine.counters().ready != 1:
                await asyncio.sleep(0.05)


async def test_an_extension_that_is_no_longer_listed_is_left_alone(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine() as running:
        running.submit(over(namespace, config_map("one", a="1")).present())
        await running.ready("over")
        running.submit()
        other = replace(over(namespace, config_map("two", a="1")), name="other")
        running.submit(other.present())
        await running.ready("other")
    assert tools.exists("cm", "one", "-n", namespace)


async def test_what_is_being_deleted_is_waited_for_and_made_anew(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    """As with a rollback while what the failed revision pruned is still held by a controller."""
    first = over(namespace, config_map("one", a="1"), config_map("held", a="1"))

    def hold(*finalizers: str) -> None:
        body = json.dumps({"metadata": {"finalizers": finalizers}})
        tools.kubectl("patch", "cm", "held", "-n", namespace, "--type=merge", f"-p={body}")

    async with start_engine(max_attempts=1, termination_seconds=1.0) as running:
        running.submit(first.present())
        await running.ready("over")
        hold("example.com/hold")
        uid = tools.get("cm", "held", "-n", namespace)["metadata"]["uid"]
        running.submit(first.next(source=overlay(config_map("one", a="2"))).present())
        assert (await running.failed("over", 2)).reason is ReasonCode.PRUNE_FAILED
        running.submit(first.next(generation=3, revision=1).present())
        async with asyncio.timeout(30):
            while tools.get("cm", "one", "-n", namespace)["data"] != {"a": "1"}:
                await asyncio.sleep(0.1)
        hold()
        await running.ready("over", 3, seconds=30)
    live = tools.get("cm", "held", "-n", namespace)["metadata"]
    assert live["uid"] != uid
    assert "deletionTimestamp" not in live
