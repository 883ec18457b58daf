"""`kill -9` of any process in the middle of a rollout, upgrades that fail, and a cluster that wants
to be left alone: nothing is lost, nothing is doubled, and nobody is waited for in vain."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from dev.backends.process import processes_in
from dev.stack.clusters import Cluster
from tests.e2e.failing_upgrades import BAD, GOOD, Choices
from tests.e2e.world import CLUSTERS, DEADLINE_SECONDS, NAMESPACE, World, open_world

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


async def ask_for_peace(world: World, peace: dict[str, Any], until: str) -> None:
    """Set it on the second cluster's resource, and wait until the control plane knows."""
    [_, cluster] = world.stack.clusters
    patch = json.dumps({"spec": peace})
    await world.operator.kubectl(
        cluster, "patch", "arcbridgecluster", cluster.name, "--type=merge", "-p", patch
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            seen = await world.operator.arcbridge_json("cluster", "get", cluster.name)
            if str(seen.get("notNowUntil", "")).startswith(until):
                return
            await asyncio.sleep(0.2)


async def until_says(world: World, cluster: Cluster, message: str) -> None:
    """Wait until the release of that message is live there."""
    wanted = ("get", "configmap", "web", "-n", NAMESPACE, "--ignore-not-found", "-o")
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await world.operator.kubectl(cluster, *wanted, "jsonpath={.data.message}") != message:
            await asyncio.sleep(0.5)


async def test_a_cluster_that_wants_peace_costs_no_budget_and_follows_when_that_is_over(
    world: World,
) -> None:
    """Its rollout allows no failure. Suspended, then by `notNow` until a time."""
    [_, cluster] = world.stack.clusters
    for each in world.stack.clusters:  # one that was not heard of at first is brought up by itself
        await until_says(world, each, "start")
    await ask_for_peace(world, {"suspend": True}, "9999-12-31")
    rollout_id = await world.publish("without eu-1")
    assert (await world.until_over(rollout_id))["state"] == "Succeeded"
    targets = await world.operator.arcbridge_json("rollout", "targets", rollout_id)
    assert [(each["cluster"], each["state"], each.get("skipReason")) for each in targets] == [
        (CLUSTERS[0], "Succeeded", None),
        (CLUSTERS[1], "Skipped", "NotNow"),
    ]
    assert (await world.messages())[CLUSTERS[1]][0] == "start"
    until = datetime.now(UTC) + timedelta(seconds=4)
    quiet = {"until": until.isoformat(), "reason": "holidays"}
    await ask_for_peace(world, {"suspend": False, "notNow": quiet}, "")  # it may be over by now
    await until_says(world, cluster, "without eu-1")
    assert datetime.now(UTC) >= until


async def test_an_upgrade_that_failed_is_rolled_back_to_the_last_known_good_of_its_cluster(
    world: World,
) -> None:
    """Or left for a person to decide, where that is what the strategy says."""
    choices, (canary, other) = Choices(world), world.stack.clusters
    first = await choices.publish(GOOD, "good")
    await asyncio.gather(*(choices.until(each, "Succeeded") for each in first.values()))
    second = await choices.publish(BAD, "bad")
    ends = {"stops": "RolledBack", "pauses": "Paused", "bears": "Succeeded"}
    await asyncio.gather(*(choices.until(second[name], end) for name, end in ends.items()))
    good, bad = "web-1.0.0", "web-2.0.0"
    failed = [("superseded", good), *[("failed", bad)] * 3]
    for name in ("stops", "bears"):
        assert await choices.history(canary, name) == [*failed, ("deployed", good)]
        assert await choices.greetings(canary, name) == ["good", "good"]
    assert await choices.history(other, "stops") == [("deployed", good)], "it was stopped before"

    assert await choices.history(canary, "pauses") == [("deployed", good), *failed[1:]]
    assert await choices.greetings(canary, "pauses") == ["bad", "good"], "half replaced"
    back = await world.operator.arcbridge_json("rollback", "pauses", "--reason", "a test")
    await choices.until(back["rolloutId"], "Succeeded")
    assert await choices.history(canary, "pauses") == [*failed, ("deployed", good)]
    assert await choices.greetings(canary, "pauses") == ["good", "good"]


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
