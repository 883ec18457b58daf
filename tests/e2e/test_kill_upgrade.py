"""`kill -9` of the agent and of helm at random moments of an upgrade: always one release, deployed,
the right revision, within a minute.

`make kills` plays 20 moments and prints what became of each; `make test` plays some. The seed is
printed; ARCBRIDGE_SEED takes one again (the moments are the same, the machine's pace may not be).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.contract.states import ExtensionPhase
from shared.rpc.v1 import relay_pb2 as pb
from tests.integration.agent.reconcile.conftest import BIN, Tools
from tests.integration.agent.reconcile.sources import Release, chart_archive, inline_chart
from tests.integration.agent_link.conftest import AgentProcess, Site, eventually
from tests.integration.agent_link.conftest import site as site

pytestmark = pytest.mark.timeout(1800)

MOMENTS = int(os.environ.get("ARCBRIDGE_TEST_KILLS") or 2)
SEED = int(os.environ.get("ARCBRIDGE_SEED") or random.SystemRandom().randrange(2**32))
WITHIN_SECONDS = 60.0
NAMESPACE = "shop"
HOOK = """
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-before
  annotations: {helm.sh/hook: pre-upgrade}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "busybox:1.37", command: ["true"]}]
"""


@dataclass
class Upgrades:
    """One release on one cluster, brought from revision to revision by a real agent."""

    site: Site
    tools: Tools
    agent: AgentProcess
    release: Release = field(
        default_factory=lambda: Release(
            "web", NAMESPACE, inline_chart(chart_archive(hook=HOOK)), values={"greeting": "g1"}
        )
    )

    def ask(self) -> None:
        """Make the release what the cluster should have, and wake the agent if it listens."""
        self.site.control_plane.extensions = (self.release.present(),)
        for stream in self.site.control_plane.open_streams():
            message = pb.RelayMessage(desired_changed=pb.DesiredChanged())
            stream.outgoing.put_nowait(message)

    def ask_for_the_next(self) -> None:
        generation = self.release.generation + 1
        self.release = self.release.next(values={"greeting": f"g{generation}"})
        self.ask()

    async def statuses(self) -> list[str]:
        """What helm's Secrets say of each revision, oldest first."""
        secrets = await self.site.kube.resource("v1", "Secret")
        page = await self.site.kube.list(secrets, NAMESPACE, label_selector="owner=helm")
        labels = [item["metadata"]["labels"] for item in page.items]
        return [each["status"] for each in sorted(labels, key=lambda one: int(one["version"]))]

    async def is_right(self) -> bool:
        """Deployed, from the newest values, and reported so."""
        statuses = await self.statuses()
        if statuses[-1:] != ["deployed"]:
            return False
        return any(
            event.phase is ExtensionPhase.READY
            and event.observed_generation == self.release.generation
            for event in self.site.control_plane.events.values()
        )

    def check(self) -> None:
        """As helm and kubectl themselves see it."""
        releases = json.loads(self.tools.helm("list", "-A", "-o", "json"))
        assert [(each["name"], each["status"]) for each in releases] == [("web", "deployed")]
        history = self.tools.history("web", NAMESPACE)
        statuses = [each["status"] for each in history]
        assert statuses.count("deployed") == 1, statuses
        assert statuses[-1] == "deployed", statuses
        assert not [status for status in statuses if status.startswith("pending")], statuses
        wanted = f"g{self.release.generation}"
        config = self.tools.get("cm", "web-config", "-n", NAMESPACE)
        assert config["data"]["greeting"] == wanted
        deployment = self.tools.get("deploy", "web", "-n", NAMESPACE)
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        assert container["env"] == [{"name": "GREETING", "value": wanted}]


def family(pid: int) -> Iterator[tuple[int, str]]:
    """The processes below one, with what they run."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue  # it ended while it was looked at
        if parent == pid:
            yield int(entry.name), Path(os.fsdecode(command[0])).name
            yield from family(int(entry.name))


def kill(agent: AgentProcess, *, helm_only: bool) -> str:
    """SIGKILL; returns what was killed. Without a helm at work the agent goes in any case."""
    assert agent.process is not None
    children = list(family(agent.process.pid))
    working = [name for _, name in children if name == "helm"]
    if not (helm_only and working):
        agent.send(signal.SIGKILL)
    for pid, _ in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # the kernel was faster: it goes with its agent
    return "helm" if helm_only and working else " and ".join(["agent", *working])


@pytest.fixture
async def upgrades(site: Site, tmp_path: Path) -> Upgrades:
    """A release at its first revision."""
    await site.install()
    agent = site.agent()
    upgrades = Upgrades(site, Tools(site.kubeconfig, tmp_path / "tools", BIN), agent)
    upgrades.ask()
    await agent.start()
    await eventually(upgrades.is_right, "the release is installed", WITHIN_SECONDS)
    return upgrades


async def test_an_upgrade_ends_right_whenever_agent_and_helm_are_killed(
    upgrades: Upgrades,
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - moments, not secrets
    print(f"\n{MOMENTS} moments, ARCBRIDGE_SEED={SEED}")  # noqa: T201 - how to play them again
    began = time.monotonic()
    upgrades.ask_for_the_next()
    await eventually(upgrades.is_right, "an upgrade that nobody disturbs", WITHIN_SECONDS)
    span = time.monotonic() - began
    for number in range(1, MOMENTS + 1):
        upgrades.ask_for_the_next()
        moment = rng.uniform(0.0, span)
        await asyncio.sleep(moment)
        killed = kill(upgrades.agent, helm_only=number % 3 == 2)
        killed_at = time.monotonic()
        left = (await upgrades.statuses())[-1]
        if killed != "helm":
            assert await upgrades.agent.stop(signal.SIGKILL) == -signal.SIGKILL
            await upgrades.agent.start()
        await eventually(upgrades.is_right, "one release, deployed, as asked for", WITHIN_SECONDS)
        took = time.monotonic() - killed_at
        await asyncio.to_thread(upgrades.check)  # the API server lives in this loop
        print(  # noqa: T201 - the figures
            f"{number:3}: {killed} killed after {moment:4.2f} of {span:4.2f} s, left {left};"
            f" right after {took:4.1f} s"
        )
