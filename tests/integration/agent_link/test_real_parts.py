"""The agent with the real control plane and the real relay, and what both live through."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml

from agent.clock import SystemClock
from agent.credentials.identity import Identity
from agent.credentials.secret import IdentitySecret
from agent.kube.client import KubeClient
from agent.link.renewal import Renewer
from dev.backends.process import free_port
from dev.stack.clusters import Cluster
from dev.stack.settings import FAST_SCHEDULES, StackSettings
from dev.stack.stack import Stack, stack
from dev.stack.surface import Surface
from tests.integration.agent_link.conftest import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
NAME = "canary-1"
NAMESPACE = "arcbridge-system"
SECONDS = 60.0
NOTHING = {"total": 0, "ready": 0, "failed": 0, "drifted": 0}


@dataclass
class Connected:
    """A stack with one connected cluster."""

    running: Stack
    cluster: Cluster
    admin: Surface
    kube: KubeClient
    directory: Path

    async def read(self, path: str) -> Any:
        """What the HTTP API answers, once it does: the control plane may be away meanwhile."""
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    return await self.admin.http_get(path)
                except httpx.HTTPError:
                    await asyncio.sleep(0.2)

    async def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.read(f"/api/v1/clusters/{NAME}")
        return found

    async def is_connected(self) -> bool:
        listed = await self.read("/api/v1/clusters")
        return [(each["name"], each["state"]) for each in listed["items"]] == [(NAME, "Connected")]

    async def condition(self, kind: str) -> tuple[str, str]:
        found = await self.admin.kubectl_json(self.cluster, "get", "arcbridgecluster", NAME)
        for condition in found.get("status", {}).get("conditions", ()):
            if condition["type"] == kind:
                return condition["status"], condition["reason"]
        return "", ""

    async def publish(self, text: str) -> None:
        """An extension that is one ConfigMap with this text."""
        files = {
            "kustomization.yaml": "resources: [greeting.yaml]\n",
            "greeting.yaml": yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "greeting"},
                    "data": {"text": text},
                }
            ),
        }
        manifest = {
            "apiVersion": "arcbridge.io/v1",
            "kind": "Extension",
            "metadata": {"name": "greeting"},
            "spec": {
                "placement": {},
                "source": {"kustomize": {"files": files}},
                "namespace": "default",
                "rollout": {"stages": [{"name": "all", "maxConcurrent": 1, "soak": "0s"}]},
            },
        }
        file = self.directory / f"{text}.yaml"
        file.write_text(yaml.safe_dump(manifest))
        await self.admin.arcbridge("apply", "-f", str(file))

    async def is_ready_with(self, text: str) -> bool:
        """Whether the cluster has the text and the control plane knows that it is Ready."""
        maps = await self.kube.resource("v1", "ConfigMap")
        live = [
            item["data"]["text"]
            for item in (await self.kube.list(maps, "default")).items
            if item["metadata"]["name"] == "greeting"
        ]
        return live == [text] and (await self.seen())["extensions"]["ready"] == 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connected(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Connected]:
    directory = tmp_path_factory.mktemp("stack")
    settings = StackSettings(
        state=directory,
        http_port=free_port(),
        relay_port=free_port(),
        durable=False,
        heartbeat_seconds=1,
        poll_seconds=10,
        schedules=FAST_SCHEDULES,
        simulated_clusters=(NAME,),
    )
    async with stack(settings, lambda _: None) as running:
        [cluster] = running.clusters
        admin = await running.surface("admin")
        await running.connect_all(admin)
        async with await KubeClient.connect(cluster.kubeconfig) as kube:
            site = Connected(running, cluster, admin, kube, directory)
            await eventually(site.is_connected, "the cluster is Connected", SECONDS)
            yield site


async def test_a_published_extension_becomes_ready(connected: Connected) -> None:
    await connected.publish("hello")
    await eventually(lambda: connected.is_ready_with("hello"), "it is Ready", SECONDS)


async def test_the_inventory_is_known(connected: Connected) -> None:
    async def known() -> bool:
        return bool((await connected.seen())["inventory"].get("nodes") == 2)

    await eventually(known, "the nodes are counted", SECONDS)


async def test_the_ca_is_rotated_under_a_real_agent(connected: Connected) -> None:
    """Relay, agent and control plane are killed and started under the new one from here on."""
    platform = await connected.running.surface("platformAdmin")
    headers = {"Authorization": f"Bearer {platform.token}"}
    async with httpx.AsyncClient(base_url=f"{platform.server}/api/v1", headers=headers) as http:
        before = (await http.get("/ca")).json()
        begun = await platform.arcbridge_json("ca", "rotate", "--reason", "a test")
        assert begun["bundleDigest"] != before["bundleDigest"]

        async def serves() -> bool:
            status = (await http.get("/ca")).json()
            (newest, *_) = status["generations"]
            return bool(newest["state"] == "Issuing" and newest["serves"])

        await eventually(serves, "the relay may present the new CA's certificate", SECONDS)
        status = (await http.get("/ca")).json()
    identity = await IdentitySecret(connected.kube, NAMESPACE).load()
    assert identity is not None
    assert identity.bundle_pem.count("BEGIN CERTIFICATE") == 2
    assert (status["acknowledged"], status["pending"]) == (1, 0)
    assert status["bundleDigest"] == identity.bundle_digest


async def test_an_agent_killed_in_a_rollout_finishes_it(connected: Connected) -> None:
    before = (await connected.seen())["id"]
    agent = connected.running.agents[NAME]
    await connected.publish("agent-killed")
    agent.kill()
    await eventually(lambda: connected.is_ready_with("agent-killed"), "it is Ready", SECONDS)
    assert (await connected.seen())["id"] == before


async def test_relay_and_control_plane_killed_lose_nothing(connected: Connected) -> None:
    await connected.publish("all-killed")
    for name in ("relay", "control-plane"):
        connected.running.children[name].kill()
    await connected.running.children["control-plane"].until_ready()
    await connected.running.children["relay"].until_ready()
    await eventually(lambda: connected.is_ready_with("all-killed"), "it is Ready", SECONDS)
    await eventually(connected.is_connected, "the cluster is Connected", SECONDS)


async def test_the_relay_renews_the_certificate_of_a_real_agent(connected: Connected) -> None:
    secret = IdentitySecret(connected.kube, NAMESPACE)
    identity = await secret.load()
    assert identity is not None
    renewed: list[Identity] = []

    async def adopt(new: Identity) -> None:
        await secret.save(new)
        renewed.append(new)

    renewer = Renewer(
        SystemClock(),
        random.random,
        identity=lambda: identity,
        address=lambda: identity.registration.relay_address,
        adopt=adopt,
        on_failure=lambda detail: pytest.fail(detail),
    )
    await renewer._renew_until_done(identity)
    [new] = renewed
    assert new.serial != identity.serial
    assert new.key_pem != identity.key_pem
    # The agent, started anew, finds the renewed identity in its Secret and streams with it.
    connected.running.agents[NAME].kill()

    async def taken_up() -> bool:
        seen = await connected.seen()
        return seen["certificate"]["serial"] == new.serial and seen["state"] == "Connected"

    await eventually(taken_up, "the new certificate is the current one", SECONDS)


async def test_a_revoked_cluster_comes_back_with_a_token_bound_to_it(connected: Connected) -> None:
    """After the CA's rotation: its resource pins the root before; the token brings the new pin."""
    before = (await connected.seen())["id"]
    headers = {"Authorization": f"Bearer {connected.admin.token}"}
    async with httpx.AsyncClient(base_url=connected.admin.server, headers=headers) as http:
        answer = await http.post(f"/api/v1/clusters/{NAME}/revoke", json={"reason": "a test"})
    assert answer.status_code == 200, answer.text

    async def revoked() -> bool:
        return await connected.condition("Connected") == ("False", "CertificateRevoked")

    await eventually(revoked, "the agent says that it was revoked", SECONDS)
    manifest = await connected.admin.arcbridge("cluster", "connect", NAME, "--external-agent")
    await connected.admin.kubectl(connected.cluster, "apply", "-f", "-", stdin=manifest)
    await eventually(connected.is_connected, "the cluster is Connected again", SECONDS)
    assert (await connected.seen())["id"] == before

    async def has_its_extension() -> bool:
        return (await connected.seen())["extensions"] == {**NOTHING, "total": 1, "ready": 1}

    await eventually(has_its_extension, "its extension is there as before", SECONDS)
    await connected.publish("after-all")
    await eventually(lambda: connected.is_ready_with("after-all"), "it is Ready", SECONDS)
