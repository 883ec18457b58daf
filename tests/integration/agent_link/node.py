"""The node that the simulated cluster lacks: runs a process for each of the agent's pods.

The simulated kubelet says when a pod runs; what would run in it, runs here, with the pod's own
environment. An image whose tag is `mute` starts and does nothing, as an agent that cannot work.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agent.upgrade.job import COMMAND
from tests.integration.agent_link.conftest import ROOT, AgentProcess, Site

NAMESPACE = "arcbridge-system"
MUTE = "mute"
LEASE_SECONDS = "15"
"""The default: helm keeps the simulated API server, in this process, busy for a while."""
_OWN = ("STATE_DIR", "HTTP_PORT", "LEASE_SECONDS", "LOG_LEVEL")
"""What a process of a test has a value of its own for."""

Pod = dict[str, Any]


class Node:
    """Starts and stops what the pods of one site are."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.agents: dict[str, AgentProcess] = {}
        """By pod."""
        self.jobs: dict[str, asyncio.subprocess.Process] = {}
        """The newest process of each pod of a Job."""
        self.begun: list[str] = []
        """A Job's pod for each process that was started for it."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Node]:
        """For the length of the block."""
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for job in self.jobs.values():
                if job.returncode is None:
                    job.kill()
                await job.wait()
        if not task.cancelled():
            task.result()

    def alive(self) -> list[str]:
        """The pods whose agent runs."""
        return [
            name
            for name, agent in self.agents.items()
            if agent.process is not None and agent.process.returncode is None
        ]

    def working(self) -> list[str]:
        """The pods of Jobs at work."""
        return [name for name, job in self.jobs.items() if job.returncode is None]

    async def _run(self) -> None:
        pods = await self._site.kube.resource("v1", "Pod")
        while True:
            found = {
                pod["metadata"]["name"]: pod
                for pod in (await self._site.kube.list(pods, NAMESPACE)).items
            }
            for name, pod in found.items():
                await self._start(name, pod)
            for name in [name for name in self.alive() if name not in found]:
                self.agents[name].send(signal.SIGTERM)
            for name in [name for name in self.working() if name not in found]:
                self.jobs[name].kill()
            await asyncio.sleep(0.1)

    async def _start(self, name: str, pod: Pod) -> None:
        container = pod["spec"]["containers"][0]
        is_job = container.get("args") == [COMMAND]
        phase = (pod.get("status") or {}).get("phase")
        if phase != "Running" and not (is_job and phase == "Succeeded"):
            return
        if name in self.agents or container["image"].endswith(f":{MUTE}"):
            return
        if name in self.jobs and self.jobs[name].returncode in (None, 0):
            return
        agent = self._site.agent(
            name,
            POD_NAME=name,
            ARCBRIDGE_AGENT_LEASE_SECONDS=LEASE_SECONDS,
            **_environment(container),
        )
        if not is_job:
            self.agents[name] = agent
            await agent.start()
            return
        # One that was killed is begun again, as a Job begins another pod; the simulated kubelet
        # knows nothing of what runs here.
        self.begun.append(name)
        with agent.log.open("ab") as log:
            self.jobs[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "agent", COMMAND, env=agent.environment, stderr=log, cwd=ROOT
            )


def _environment(container: Pod) -> dict[str, str]:
    own = {f"ARCBRIDGE_AGENT_{name}" for name in _OWN}
    return {
        item["name"]: item["value"]
        for item in container["env"]
        if "value" in item and item["name"].startswith("ARCBRIDGE_") and item["name"] not in own
    }
