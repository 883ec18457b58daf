"""The seven steps. Each does something, and checks what became of it in the live clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dev.demo.record import Step
from dev.demo.scene import (
    MOTD,
    MOTD_NAMESPACE,
    WEB,
    WEB_NAMESPACE,
    Scene,
    replicas,
    until,
)
from dev.stack.clusters import Cluster
from dev.stack.surface import CommandFailedError

TAGS = {1: "3.8", 2: "3.9", 4: "3.10"}
"""The image's tag in each good version of the example."""
BROKEN_TAG = "broken"
DRIFTED_REPLICAS = 5

Action = Callable[[Scene, Step], Awaitable[None]]


async def connect_clusters(scene: Scene, step: Step) -> None:
    """Each cluster applies what `arcbridge cluster connect` prints, and its agent registers."""
    await scene.stack.connect_all(scene.admin)
    names = {each.name for each in scene.clusters}

    async def connected() -> bool:
        found = await scene.operator.arcbridge_json("cluster", "list", "--state", "Connected")
        return {each["name"] for each in found} == names

    await until(connected, "every cluster is Connected")
    step.note(f"{len(names)} clusters are Connected")

    async def says_so_itself(cluster: Cluster) -> bool:
        resource = await scene.operator.kubectl_json(cluster, "get", "arcbridgeclusters")
        return bool(resource["items"][0]["status"].get("clusterId"))

    step.check(
        await scene.on_all(says_so_itself),
        "in each cluster, the ArcBridgeCluster resource holds the id it registered under",
    )


async def publish_first(scene: Scene, step: Step) -> None:
    """A Helm extension, canary first, and a Kustomize extension."""
    web, motd = await scene.publish("web/v1.yaml"), await scene.publish("motd/motd.yaml")
    await asyncio.gather(
        scene.succeeds(step, web["rolloutId"], "the rollout of web (Helm)"),
        scene.succeeds(step, motd["rolloutId"], "the rollout of motd (Kustomize)"),
    )
    await check_version(scene, step, 1)
    check_canary_first(scene, step, TAGS[1])
    step.check(
        await scene.on_all(lambda cluster: has_message(scene, cluster)),
        "kubectl shows motd's ConfigMap with the overlay's patch in every cluster, applied by the"
        " field manager arcbridge",
    )


async def publish_second(scene: Scene, step: Step) -> None:
    """The next version goes to the canary, soaks, and then goes to the rest."""
    published = await scene.publish("web/v2.yaml")
    scene.told_rollout = published["rolloutId"]
    await scene.succeeds(step, published["rolloutId"], "the rollout of web version 2")
    await check_version(scene, step, 2)
    check_canary_first(scene, step, TAGS[2])


async def drift_and_correct(scene: Scene, step: Step) -> None:
    """Someone scales the live Deployment by hand."""
    cluster = scene.others[0]
    patch = f'{{"spec":{{"replicas":{DRIFTED_REPLICAS}}}}}'
    await scene.operator.kubectl(
        cluster, "patch", "deployment", WEB, "-n", WEB_NAMESPACE, "--type=merge", "-p", patch
    )
    scene.say(f"{cluster.name}: someone ran kubectl patch, replicas are now {DRIFTED_REPLICAS}")
    found: list[dict[str, Any]] = []

    async def is_found() -> bool:
        found[:] = await scene.operator.arcbridge_json("drift", "list", "--cluster", cluster.name)
        return any(difference(each) for each in found)

    await until(is_found, f"the drift on {cluster.name} is found")
    drift = next(each for each in found if difference(each))
    seen = difference(drift) or {}
    step.check(
        (seen["desired"], seen["observed"]) == (replicas(cluster), DRIFTED_REPLICAS),
        f"drift was found at {seen['path']}: desired {seen['desired']}, observed"
        f" {seen['observed']}",
    )
    step.check(
        any("kubectl" in manager for manager in seen["managers"]),
        f"the field manager that made it is named: {', '.join(seen['managers'])}",
    )
    await scene.operator.arcbridge_json("drift", "correct", drift["id"], "--reason", "the demo")

    async def is_corrected() -> bool:
        return await scene.runs(cluster, TAGS[2])

    await until(is_corrected, "the live Deployment is as declared again")
    step.note(f"kubectl shows {replicas(cluster)} replicas on {cluster.name} again")

    async def is_closed() -> bool:
        return not await scene.operator.arcbridge_json("drift", "list", "--cluster", cluster.name)

    await until(is_closed, "the drift is closed")
    step.note("arcbridge drift list is empty again")


async def publish_broken(scene: Scene, step: Step) -> None:
    """A version whose image never becomes ready stops at the canary and rolls itself back."""
    published = await scene.publish("web/v3-broken.yaml")
    end = await scene.end_of(published["rolloutId"])
    step.check(end["state"] == "RolledBack", "the rollout stopped and rolled itself back")
    step.check(
        scene.witnesses[scene.canary.name].saw(BROKEN_TAG),
        f"the canary {scene.canary.name} did get the broken version",
    )

    async def is_back() -> bool:
        return await scene.runs(scene.canary, TAGS[2])

    await until(is_back, "the canary runs version 2 again")
    step.note("helm and kubectl show version 2 deployed and ready on the canary again")
    step.check(
        not any(scene.witnesses[each.name].saw(BROKEN_TAG) for each in scene.others),
        "kubectl --watch saw the broken version in no other cluster",
    )
    revisions = await scene.operator.arcbridge_json("extension", "history", WEB)
    states = {each["number"]: each["state"] for each in revisions}
    step.check(
        states[published["revision"]] == "Quarantined",
        f"revision {published['revision']} is quarantined",
    )
    await check_version(scene, step, 2)


async def roll_back(scene: Scene, step: Step) -> None:
    """One command takes every cluster from version 2 to version 1."""
    result = await scene.operator.arcbridge_json(
        "rollback", WEB, "--to-revision", "1", "--reason", "the demo goes back"
    )
    await scene.succeeds(step, result["rolloutId"], "the rollback")
    await check_version(scene, step, 1)


async def survive_kills(scene: Scene, step: Step) -> None:
    """An agent and the relay are killed in the middle of a rollout."""
    victim = scene.others[-1]
    before = {each.name: await helm_revision(scene, each) for each in scene.clusters}
    published = await scene.publish("web/v4.yaml")

    async def canary_has_it() -> bool:
        return scene.witnesses[scene.canary.name].saw(TAGS[4])

    await until(canary_has_it, "the canary gets version 4")
    agent, relay = scene.stack.agents[victim.name], scene.stack.children["relay"]
    step.check(
        not scene.witnesses[victim.name].saw(TAGS[4]),
        f"when they were killed, {victim.name} had not got version 4 yet",
    )
    relay.kill()
    agent.kill()
    scene.say(f"SIGKILL to the relay and to the agent of {victim.name}")
    await scene.succeeds(step, published["rolloutId"], "all the same, the rollout")
    step.check(
        (relay.restarts, agent.restarts) == (1, 1), "relay and agent were each started again once"
    )
    await check_version(scene, step, 4)
    after = {each.name: await helm_revision(scene, each) for each in scene.clusters}
    step.check(
        all(after[name] == before[name] + 1 for name in before),
        "helm history grew by exactly one revision in each cluster: nothing was done twice",
    )


async def check_version(scene: Scene, step: Step, version: int) -> None:
    """Check that every cluster runs a version."""
    step.check(
        await scene.on_all(lambda cluster: scene.runs(cluster, TAGS[version])),
        f"helm shows version {version} deployed and kubectl shows every replica of it ready, in"
        " every cluster",
    )


def check_canary_first(scene: Scene, step: Step, tag: str) -> None:
    """Check what the witnesses saw of the order."""
    ready = scene.witnesses[scene.canary.name].first_ready(tag)
    firsts = [scene.witnesses[each.name].first(tag) for each in scene.others]
    step.check(
        ready is not None and all(first is not None and first > ready for first in firsts),
        f"kubectl --watch saw it ready on {scene.canary.name} before any other cluster got it",
    )


def difference(drift: dict[str, Any]) -> dict[str, Any] | None:
    """The difference at /spec/replicas of the Deployment, where the drift has it."""
    for each in drift["differences"]:
        if each["path"] == "/spec/replicas":
            found: dict[str, Any] = each
            return found
    return None


async def has_message(scene: Scene, cluster: Cluster) -> bool:
    """Whether motd is there as the overlay says, applied with our field manager."""
    try:
        found = await scene.operator.kubectl_json(
            cluster, "get", "configmap", MOTD, "-n", MOTD_NAMESPACE, "--show-managed-fields"
        )
    except CommandFailedError:
        return False
    managers = {each["manager"] for each in found["metadata"]["managedFields"]}
    return found["data"]["signed-by"] == "the demo overlay" and "arcbridge" in managers


async def helm_revision(scene: Scene, cluster: Cluster) -> int:
    """The number of web's newest helm revision in a cluster."""
    return int((await scene.deployed_release(cluster))["revision"])


STORY: tuple[tuple[str, Action], ...] = (
    ("connect five clusters", connect_clusters),
    ("publish a Helm and a Kustomize extension: canary, then the rest", publish_first),
    ("publish version 2: staged rollout", publish_second),
    ("edit a live object behind ArcBridge's back: drift found and corrected", drift_and_correct),
    ("publish a broken version 3: the canary fails, it rolls itself back", publish_broken),
    ("roll back from 2 to 1 with one command", roll_back),
    ("kill an agent and the relay in the middle of a rollout", survive_kills),
)
"""What is shown before the last step, which sums up: the first line sets the stage."""
