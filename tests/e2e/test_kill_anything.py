"""`kill -9` of any process, in the middle of a rollout: nothing is lost and nothing is doubled."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dev.backends.process import free_port, processes_in
from dev.stack.settings import FAST_SCHEDULES, StackSettings
from dev.stack.stack import Stack, stack
from dev.stack.surface import Surface
from tests.e2e.whole import state_with_tools

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
CLUSTERS = ("canary-1", "eu-1")
NAMESPACE = "arcbridge-demo-web"
DEADLINE_SECONDS = 120
EXTENSION = """
apiVersion: arcbridge.io/v1
kind: Extension
metadata: {name: web}
spec:
  placement: {}
  source: {helm: {chartPath: chart}}
  namespace: arcbridge-demo-web
  values: {message: MESSAGE}
  readiness: {timeout: 60s}
  rollout:
    stages:
      - {name: canary, match: {matchLabels: {ring: canary}}, maxConcurrent: 1, soak: 1s}
      - {name: broad, maxConcurrent: 2, soak: 1s}
    maxFailures: 0
    progressDeadline: 2m
    pace: {perMinute: 300, burst: 10}
"""


@dataclass
class World:
    """A stack with two clusters, and an operator."""

    stack: Stack
    operator: Surface
    manifests: Path

    async def publish(self, message: str) -> str:
        """Publish the chart with this message; the rollout's id."""
        file = self.manifests / "web.yaml"
        file.write_text(EXTENSION.replace("MESSAGE", message))
        results = await self.operator.arcbridge_json("apply", "-f", str(file))
        rollout: str = results[0]["rolloutId"]
        return rollout

    async def until_over(self, rollout_id: str) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                rollout: dict[str, Any] = await self.operator.arcbridge_json(
                    "rollout", "get", rollout_id
                )
                if rollout.get("finishedAt"):
                    return rollout
                await asyncio.sleep(1)

    async def messages(self) -> dict[str, tuple[str, str, int]]:
        """Of each cluster: the live message, the release's status and its revision."""
        found = {}
        for cluster in self.stack.clusters:
            releases = await self.operator.helm_json(
                cluster, "list", "-n", NAMESPACE, "--deployed", "--failed", "--pending"
            )
            assert len(releases) == 1
            live = await self.operator.kubectl_json(
                cluster, "get", "configmap", "web", "-n", NAMESPACE
            )
            release = releases[0]
            found[cluster.name] = (
                live["data"]["message"], release["status"], int(release["revision"]),
            )  # fmt: skip
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("kills")
    state = state_with_tools(directory)
    patch = pytest.MonkeyPatch()
    patch.setenv("ARCBRIDGE_STATE_DIR", str(state))
    patch.delenv("KUBECONFIG", raising=False)
    settings = StackSettings(
        state=state / "stack",
        http_port=free_port(),
        relay_port=free_port(),
        durable=True,
        heartbeat_seconds=2,
        poll_seconds=5,
        schedules=FAST_SCHEDULES,
        simulated_clusters=CLUSTERS,
    )
    settings.state.mkdir()
    told: list[str] = []
    async with stack(settings, told.append) as running:
        admin = await running.surface("admin")
        await running.connect_all(admin)
        chart = Path(__file__).parents[2] / "examples" / "web" / "chart"
        (directory / "chart").symlink_to(chart)
        world = World(running, admin, directory)
        await world.until_over(await world.publish("start"))
        yield world
    patch.undo()


def victims(world: World, name: str) -> list[int]:
    """The process ids of a part."""
    backends = world.stack.settings.state / "backends"
    match name:
        case "postgres":
            return list(processes_in(backends / "postgres", "postgres"))
        case "redis":
            return list(processes_in(backends / "redis", "redis-server"))
        case "agent of the canary" | "agent of another cluster":
            cluster = CLUSTERS[0] if "canary" in name else CLUSTERS[1]
            return [pid for pid in [world.stack.agents[cluster].pid] if pid]
        case _:
            return [pid for pid in [world.stack.children[name].pid] if pid]


@pytest.mark.parametrize(
    "name",
    ["control-plane", "relay", "agent of the canary", "agent of another cluster", "postgres",
     "redis", "kube", "issuer"],
)  # fmt: skip
async def test_a_rollout_ends_right_although_a_process_is_killed(world: World, name: str) -> None:
    message = f"after {name}"
    rollout_id = await world.publish(message)
    await asyncio.sleep(1.0)  # the canary is being worked on
    pids = victims(world, name)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    rollout = await world.until_over(rollout_id)
    assert rollout["state"] == "Succeeded"
    live = await world.messages()
    assert {each[:2] for each in live.values()} == {(message, "deployed")}
