"""`kill -9` of any process, in the middle of a rollout: nothing is lost and nothing is doubled."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dev.backends.process import processes_in
from tests.e2e.world import CLUSTERS, World, open_world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("kills")) as world:
        yield world


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
