"""What the steps work with: the running stack, its people's tools, and the witnesses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from dev.demo.record import Step, StepFailedError
from dev.demo.witness import Witness
from dev.stack.clusters import Cluster
from dev.stack.stack import Stack
from dev.stack.surface import Surface
from dev.state import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
WEB, WEB_NAMESPACE = "web", "arcbridge-demo-web"
MOTD, MOTD_NAMESPACE = "motd", "arcbridge-demo-motd"
POLL_SECONDS = 0.5
CONVERGE_SECONDS = 60.0


@dataclass
class Scene:
    """The state of the demo."""

    stack: Stack
    operator: Surface
    admin: Surface
    witnesses: dict[str, Witness]
    """Of the Deployment `web`, by cluster."""
    say: Callable[[str], None]
    """Shows one line of what goes on."""
    told_rollout: str = ""
    """The rollout whose trace is shown at the end."""

    @property
    def clusters(self) -> Sequence[Cluster]:
        """All clusters; the canary is the first."""
        return self.stack.clusters

    @property
    def canary(self) -> Cluster:
        """The cluster that gets everything first."""
        return self.clusters[0]

    @property
    def others(self) -> Sequence[Cluster]:
        """Every cluster but the canary."""
        return self.clusters[1:]

    async def publish(self, file: str) -> dict[str, Any]:
        """`arcbridge apply -f`; the one result."""
        results = await self.operator.arcbridge_json("apply", "-f", str(EXAMPLES / file))
        result: dict[str, Any] = results[0]
        self.say(f"published {result['extension']} revision {result['revision']}")
        return result

    async def end_of(self, rollout_id: str) -> dict[str, Any]:
        """Follow a rollout until it is over; gives it as it is then."""
        await self.operator.follow(rollout_id, self.say)
        rollout: dict[str, Any] = await self.operator.arcbridge_json("rollout", "get", rollout_id)
        return rollout

    async def succeeds(self, step: Step, rollout_id: str, what: str) -> None:
        """Follow a rollout that is to succeed; says why its targets failed when it does not."""
        state = (await self.end_of(rollout_id))["state"]
        if state != "Succeeded":
            reasons = await self.failures(rollout_id)
            raise StepFailedError(f"{what} ended as {state}: {reasons}")
        step.note(f"{what} succeeded")

    async def failures(self, rollout_id: str) -> str:
        """Why targets of a rollout failed, in their agents' words."""
        path = f"/api/v1/rollouts/{rollout_id}/targets"
        page = await self.operator.http_get(path)
        failed = [
            f"{each['cluster']}: {each['state']} {each.get('reason')} {each['message']}"
            for each in page["items"]
            if each["state"] in {"Failed", "TimedOut"}
        ]
        return "; ".join(failed) or "no target failed"

    async def on_all(
        self, look: Callable[[Cluster], Awaitable[bool]], clusters: Sequence[Cluster] | None = None
    ) -> bool:
        """Whether `look` holds on each cluster (all of them by default)."""
        answers = await asyncio.gather(*(look(each) for each in clusters or self.clusters))
        return all(answers)

    async def deployed_release(self, cluster: Cluster) -> dict[str, Any]:
        """The one helm release of `web`, as `helm list` shows it, pending and failed ones too."""
        releases = await self.operator.helm_json(
            cluster, "list", "-n", WEB_NAMESPACE,
            "--deployed", "--failed", "--pending", "--uninstalling",
        )  # fmt: skip
        if len(releases) != 1:
            raise StepFailedError(f"{cluster.name} has {len(releases)} releases, not one")
        release: dict[str, Any] = releases[0]
        return release

    async def runs(self, cluster: Cluster, tag: str) -> bool:
        """Whether `web` is deployed and ready with the tag, by helm and by the live Deployment."""
        release = await self.deployed_release(cluster)
        deployment = await self.operator.kubectl_json(
            cluster, "get", "deployment", WEB, "-n", WEB_NAMESPACE
        )
        image: str = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        available = deployment["status"].get("availableReplicas", 0)
        wanted = deployment["spec"]["replicas"]
        return (
            release["status"] == "deployed"
            and image.endswith(f":{tag}")
            and (available, wanted) == (replicas(cluster), replicas(cluster))
        )


def replicas(cluster: Cluster) -> int:
    """How many replicas the examples declare for a cluster: an override says three in `us`."""
    return 3 if cluster.labels["region"] == "us" else 2


async def until(
    holds: Callable[[], Awaitable[bool]], what: str, seconds: float = CONVERGE_SECONDS
) -> None:
    """Look again and again until it holds. Raises StepFailedError after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while not await holds():
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise StepFailedError(f"not within {seconds:.0f} s: {what}") from error


@asynccontextmanager
async def witnessed(
    surface: Surface, clusters: Sequence[Cluster], changed: Callable[[], None]
) -> AsyncIterator[dict[str, Witness]]:
    """A witness of `web` in each cluster for the length of the block."""
    witnesses = {each.name: Witness(each, WEB_NAMESPACE, WEB) for each in clusters}
    tasks = [asyncio.create_task(each.run(surface, changed)) for each in witnesses.values()]
    try:
        yield witnesses
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
