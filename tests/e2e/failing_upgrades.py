"""Extensions whose second revision helm cannot apply, one for each thing that may follow."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import yaml

from dev.stack.clusters import Cluster
from tests.e2e.world import DEADLINE_SECONDS, World
from tests.integration.agent.reconcile.sources import chart_archive, inline_chart

REFUSED = "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 70000}]}\n"
"""An object that the API server refuses, after it took those that helm applies before it."""
GOOD, BAD = chart_archive(version="1.0.0"), chart_archive(version="2.0.0", bad=REFUSED)
CANARIES = {"matchLabels": {"ring": "canary"}}
CHOICES: dict[str, dict[str, Any]] = {
    "stops": {"placement": {}, "rollout": {"maxFailures": 0}},
    "pauses": {"placement": CANARIES, "rollout": {"maxFailures": 0, "onFailure": "pause"}},
    "bears": {"placement": CANARIES, "rollout": {"maxFailures": 1}},
}
"""Over the budget everything goes back (the default), or stays for a person to decide; within the
budget the one cluster goes back and the rollout goes on."""


@dataclass(frozen=True)
class Choices:
    """The same small release once for each choice, each in a namespace of its name."""

    world: World

    async def publish(self, chart: bytes, greeting: str) -> dict[str, str]:
        """Publish it for all choices; the rollouts' ids by extension."""
        file = self.world.manifests / "choices.yaml"
        file.write_text(yaml.safe_dump_all(manifest(name, chart, greeting) for name in CHOICES))
        results = await self.world.operator.arcbridge_json("apply", "-f", str(file))
        return {each["extension"]: each["rolloutId"] for each in results}

    async def history(self, cluster: Cluster, name: str) -> list[tuple[str, str]]:
        """Status and chart of each revision, as `helm history` tells them."""
        found = await self.world.operator.helm_json(cluster, "history", name, "-n", name)
        return [(each["status"], each["chart"]) for each in found]

    async def greetings(self, cluster: Cluster, name: str) -> list[str]:
        """What the live ConfigMap and the live Deployment hold."""
        listed = await self.world.operator.kubectl_json(
            cluster, "get", f"configmap/{name}-config", f"deployment/{name}", "-n", name
        )
        config, deployment = listed["items"]
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        return [config["data"]["greeting"], container["env"][0]["value"]]

    async def until(self, rollout_id: str, state: str) -> None:
        """Wait until a rollout is in that state."""
        found = ""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while found != state:
                rollout = await self.world.operator.http_get(f"/api/v1/rollouts/{rollout_id}")
                found = rollout["state"]
                await asyncio.sleep(0.5)


def manifest(name: str, chart: bytes, greeting: str) -> dict[str, Any]:
    """An extension as people write it."""
    source = inline_chart(chart).model_dump_json(by_alias=True, exclude_unset=True)
    choice = CHOICES[name]
    return {
        "apiVersion": "arcbridge.io/v1",
        "kind": "Extension",
        "metadata": {"name": name},
        "spec": {
            "placement": choice["placement"],
            "source": json.loads(source),
            "namespace": name,
            "values": {"greeting": greeting},
            "drift": {"mode": "off"},
            "rollout": {
                "stages": [{"name": "all", "maxConcurrent": 1, "soak": "0s"}],
                "pace": {"perMinute": 600, "burst": 10},
                **choice["rollout"],
            },
        },
    }
