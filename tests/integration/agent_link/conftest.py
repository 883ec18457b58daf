"""An agent process against a simulated cluster and a control plane that fails on demand."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.errors import KubeNotFound
from agent.kube.client import KubeClient
from dev.kube.server import KubeServer, ServedCluster
from dev.state import state_directory
from shared.manifests.install import AGENT, RECONCILER, AgentInstall
from shared.manifests.render import objects
from tests.fakes.control_plane import TENANT, FakeControlPlane

NAME = "eu-1"
NAMESPACE = "arcbridge-system"
ROOT = Path(__file__).parents[3]


async def eventually(check: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    """Wait until `check` (plain or async) gives something true; that is what is returned."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.05)


@dataclass
class AgentProcess:
    """`python -m agent`."""

    environment: dict[str, str]
    log: Path
    ready_file: Path
    process: asyncio.subprocess.Process | None = None
    module: tuple[str, ...] = ("agent",)

    async def start(self) -> None:
        self.ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self.module, env=self.environment, stderr=log, cwd=ROOT
            )
        await eventually(self.ready_file.exists, f"the agent starts (see {self.log})")

    def port(self) -> int:
        port: int = json.loads(self.ready_file.read_text())["port"]
        return port

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(20):
            return await self.process.wait()

    async def metric(self, name: str, labels: str = "") -> float | None:
        """A number of `/metrics`; None while it is not there."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{self.port()}/metrics")
        wanted = f"{name}{{{labels}}} " if labels else f"{name} "
        for line in answer.text.splitlines():
            if line.startswith(wanted):
                return float(line.split()[-1])
        return None

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]
        return [line for line in lines if line["event"] == event]


@dataclass
class Site:
    """One simulated cluster with a control plane to connect it to."""

    control_plane: FakeControlPlane
    cluster: ServedCluster
    kube: KubeClient
    kubeconfig: Path
    directory: Path
    agents: list[AgentProcess] = field(default_factory=list)
    account: Path | None = None
    """Credentials of the agent's own service account, once it is installed."""

    async def install(self, token: str | None = None, **changes: Any) -> None:
        """Apply the installation's manifest (the agent runs beside the cluster)."""
        token = token or self.control_plane.new_token(NAME)
        install = self.installation(token, **{"external": True, **changes})
        for item in objects(install):
            resource = await self.kube.resource(item["apiVersion"], item["kind"])
            await self.kube.apply(resource, item, force=True)
        self.account = await self.credentials(AGENT)

    async def credentials(self, account: str) -> Path:
        """A kubeconfig with the token of a service account of the installation."""
        path = self.directory / f"{account}.yaml"
        asked: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        async with httpx.AsyncClient(
            verify=ssl.create_default_context(cadata=self.cluster.ca_bundle), trust_env=False
        ) as client:
            answer = await client.post(
                f"{self.cluster.url}/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token",
                json=asked,
                headers={"Authorization": f"Bearer {self.cluster.token}"},
            )
        config = self.cluster.kubeconfig()
        config["users"][0]["user"] = {"token": answer.json()["status"]["token"]}
        path.write_text(json.dumps(config))
        return path

    def installation(self, token: str, **changes: Any) -> AgentInstall:
        """What the control plane would put into the manifest."""
        values = {
            "cluster_name": NAME,
            "tenant": TENANT,
            "control_plane_url": self.control_plane.url,
            "ca_pin": self.control_plane.pin,
            "token": token,
            "image": "arcbridge/agent:test",
        }
        return AgentInstall(**{**values, **changes})

    def agent(self, name: str = "a", **environment: str) -> AgentProcess:
        """An agent, with the rights that the installation gives it, and no others."""
        tools = state_directory() / "bin"
        agent = AgentProcess(
            {
                "PATH": os.environ["PATH"],
                "HOME": str(self.directory),
                "PYTHONPATH": str(ROOT),
                "KUBECONFIG": str(self.account or self.kubeconfig),
                "ARCBRIDGE_AGENT_IMPERSONATE": f"system:serviceaccount:{NAMESPACE}:{RECONCILER}",
                "ARCBRIDGE_HELM": str(tools / "helm"),
                "ARCBRIDGE_KUBECTL": str(tools / "kubectl"),
                "ARCBRIDGE_AGENT_STATE_DIR": str(self.directory / f"state-{name}"),
                "ARCBRIDGE_AGENT_HTTP_PORT": "0",
                "ARCBRIDGE_AGENT_HTTP_HOST": "127.0.0.1",
                "ARCBRIDGE_AGENT_READY_FILE": str(self.directory / f"ready-{name}"),
                "ARCBRIDGE_AGENT_LEASE_SECONDS": "3",
                "ARCBRIDGE_AGENT_LOG_LEVEL": "DEBUG",
                **environment,
            },
            self.directory / f"agent-{name}.log",
            self.directory / f"ready-{name}",
        )
        self.agents.append(agent)
        return agent

    async def resource(self) -> dict[str, Any]:
        clusters = await self.kube.resource("arcbridge.io/v1", "ArcBridgeCluster")
        return await self.kube.get(clusters, NAME)

    async def status(self) -> dict[str, Any]:
        """The resource's status; empty before the resource is there."""
        try:
            status: dict[str, Any] = (await self.resource()).get("status") or {}
        except KubeNotFound:
            return {}
        return status

    async def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason of a condition; empty while it is not stated."""
        for condition in (await self.status()).get("conditions") or ():
            if condition["type"] == kind:
                return condition["status"], condition["reason"]
        return "", ""

    async def is_ready(self) -> bool:
        return await self.condition("Ready") == ("True", "ClusterConnected")


@asynccontextmanager
async def open_site(
    directory: Path, control_plane: FakeControlPlane, *, node_count: int = 2
) -> AsyncIterator[Site]:
    """A cluster for the control plane, which the caller starts."""
    async with KubeServer.start() as server:
        cluster = server.add_cluster(NAME, node_count=node_count)
        kubeconfig = cluster.write_kubeconfig(directory / "kubeconfig.yaml")
        async with await KubeClient.connect(kubeconfig) as kube:
            site = Site(control_plane, cluster, kube, kubeconfig, directory)
            try:
                yield site
            finally:
                for agent in site.agents:
                    if agent.process is not None:
                        await agent.stop(signal.SIGKILL)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    control_plane = FakeControlPlane(tmp_path / "ca")
    async with control_plane.running(), open_site(tmp_path, control_plane) as opened:
        yield opened
