"""An upgrade and a rollback restore what the revision says, also where someone edited list keys.

An apply merges lists by key: an edit of the key leaves two items, and the API server refuses both.
"""

from __future__ import annotations

import json
from typing import Any

from shared.contract.extension import DriftMode, DriftPolicy
from shared.contract.reasons import ReasonCode
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import (
    Release,
    chart_archive,
    inline_chart,
    overlay,
)

QUIET = DriftPolicy(mode=DriftMode.OFF)
PORTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: ported}
spec:
  selector: {matchLabels: {app: ported}}
  template:
    metadata: {labels: {app: ported}}
    spec:
      containers:
        - name: main
          image: nginx:1.27
          ports: [{name: http, containerPort: 80}]
          env: [{name: GREETING, value: {{ .Values.greeting | quote }}}]
"""


def service(text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "front", "annotations": {"example.com/text": text}},
        "spec": {"selector": {"app": "front"}, "ports": [{"port": 80}]},
    }


def edit(tools: Tools, namespace: str, kind: str, name: str, path: str, value: int) -> None:
    """As a person does it who knows no better."""
    patch = [{"op": "replace", "path": path, "value": value}]
    tools.kubectl(
        "patch", kind, name, "-n", namespace, "--type=json", f"-p={json.dumps(patch)}",
        "--field-manager=a-person",
    )  # fmt: skip


def managers(tools: Tools, namespace: str, kind: str, name: str) -> set[str]:
    live = tools.get(kind, name, "-n", namespace, "--show-managed-fields")
    return {entry["manager"] for entry in live["metadata"]["managedFields"]}


async def test_charts_are_upgraded_and_rolled_back_over_ports_that_someone_changed(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    source = inline_chart(chart_archive(deployment=PORTS))
    first = Release("web", namespace, source, drift=QUIET)

    def stands() -> tuple[list[int], list[int], str]:
        front = tools.get("service", "web", "-n", namespace)
        pods = tools.get("deployment", "ported", "-n", namespace)["spec"]["template"]["spec"]
        (main,) = pods["containers"]
        ports = [port["port"] for port in front["spec"]["ports"]]
        return ports, [port["containerPort"] for port in main["ports"]], main["env"][0]["value"]

    def disturb() -> None:
        edit(tools, namespace, "service", "web", "/spec/ports/0/port", 8080)
        path = "/spec/template/spec/containers/0/ports/0/containerPort"
        edit(tools, namespace, "deployment", "ported", path, 8080)

    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("web")
        disturb()
        second = first.next(values={"greeting": "two"})
        running.submit(second.present())
        await running.ready("web", 2)
        assert stands() == ([80], [80], "two")
        disturb()
        running.submit(first.next(generation=3, revision=1).present())
        await running.ready("web", 3)
        assert stands() == ([80], [80], "hello")
    for kind, name in (("service", "web"), ("deployment", "ported")):
        assert "arcbridge-restore" not in managers(tools, namespace, kind, name)
    assert tools.history("web", namespace)[-1]["status"] == "deployed"


async def test_overlays_that_correct_drift_are_upgraded_over_a_port_that_someone_changed(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    drift = DriftPolicy(mode=DriftMode.CORRECT)
    first = Release("over", namespace, overlay(service("one")), drift=QUIET)
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("over")
        edit(tools, namespace, "service", "front", "/spec/ports/0/port", 8080)
        running.submit(first.next(source=overlay(service("two")), drift=drift).present())
        await running.ready("over", 2)
    live = tools.get("service", "front", "-n", namespace)
    assert [port["port"] for port in live["spec"]["ports"]] == [80]
    assert live["metadata"]["annotations"]["example.com/text"] == "two"
    assert "arcbridge-restore" not in managers(tools, namespace, "service", "front")


async def test_an_overlay_that_corrects_no_drift_names_who_changed_the_port(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first = Release("over", namespace, overlay(service("one")), drift=QUIET)
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("over")
        edit(tools, namespace, "service", "front", "/spec/ports/0/port", 8080)
        running.submit(first.next(source=overlay(service("two"))).present())
        failed = await running.failed("over", 2)
        assert failed.reason is ReasonCode.APPLY_CONFLICT
        assert f"Service {namespace}/front: /spec/ports/0 is owned by a-person" in (failed.message)
    live = tools.get("service", "front", "-n", namespace)
    assert [port["port"] for port in live["spec"]["ports"]] == [8080]
