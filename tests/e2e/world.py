"""A stack with two clusters and one extension, for the tests beside this file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev.backends.process import free_port
from dev.stack.settings import FAST_SCHEDULES, StackSettings
from dev.stack.stack import Stack, stack
from dev.stack.surface import Surface
from tests.e2e.whole import state_with_tools

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
        """Follow the rollout as an operator would, and again where the watch was cut off."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                await self.operator.follow(rollout_id, lambda line: None)
                rollout: dict[str, Any] = await self.operator.arcbridge_json(
                    "rollout", "get", rollout_id
                )
                if rollout.get("finishedAt"):
                    return rollout

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


@asynccontextmanager
async def open_world(
    directory: Path, schedules: Mapping[str, str] = FAST_SCHEDULES
) -> AsyncIterator[World]:
    """The stack, with the extension on both clusters."""
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
        schedules=schedules,
        simulated_clusters=CLUSTERS,
    )
    settings.state.mkdir()
    told: list[str] = []
    try:
        async with stack(settings, told.append) as running:
            admin = await running.surface("admin")
            await running.connect_all(admin)
            chart = Path(__file__).parents[2] / "examples" / "web" / "chart"
            (directory / "chart").symlink_to(chart)
            world = World(running, admin, directory)
            await world.until_over(await world.publish("start"))
            yield world
    finally:
        patch.undo()
