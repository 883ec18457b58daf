"""The agent upgrades itself as an extension, and the old one is back when the new one is not."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import uuid
from datetime import timedelta
from typing import Any

from dev.state import state_directory
from shared.contract.canonical import digest, digest_bytes
from shared.contract.desired import DesiredExtension, DesiredState
from shared.contract.extension import Readiness, ResolvedSpec
from shared.contract.helm_source import HelmArchive, HelmSource
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from shared.contract.states import ExtensionPhase
from shared.contract.status import StatusEvent
from tests.integration.agent.reconcile.sources import archive
from tests.integration.agent_link.conftest import ROOT, Site, eventually
from tests.integration.agent_link.node import MUTE, NAMESPACE, Node

SECONDS = 150.0
BACK_SECONDS = 90
"""How long a good agent may take to be connected on a machine that is busy."""


def own_chart() -> Source:
    """agent/chart as it travels in a document."""
    directory = ROOT / "agent" / "chart"
    files = {
        f"arcbridge-agent/{path.relative_to(directory)}": path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    content = archive(files)
    encoded = base64.b64encode(content).decode()
    return Source(
        helm=HelmSource(archive=HelmArchive(content=encoded, digest=digest_bytes(content)))
    )


def upgrade(tag: str, generation: int, *, seconds: int = BACK_SECONDS) -> DesiredExtension:
    """The extension that is the agent, in this version."""
    spec = ResolvedSpec(
        source=own_chart(),
        namespace=NAMESPACE,
        values={
            "image": {"repository": "arcbridge/agent", "tag": tag},
            "replicas": 1,
            # What the cluster's own resource says is stronger.
            "clusterName": "another",
            "controlPlaneUrl": "https://elsewhere.example",
        },
        readiness=Readiness(timeout=timedelta(seconds=seconds)),
    )
    return DesiredExtension(
        name="arcbridge-agent",
        state=DesiredState.PRESENT,
        revision=generation,
        spec_digest=digest(spec.to_canonical()),
        generation=generation,
        rollout_id=uuid.UUID(int=generation),
        spec=spec,
    )


def want(site: Site, extension: DesiredExtension) -> None:
    site.control_plane.extensions = (extension,)


async def told(site: Site, generation: int, phase: ExtensionPhase) -> StatusEvent:
    """The control plane's news that a generation came to this phase."""

    def found() -> StatusEvent | None:
        for event in site.control_plane.events.values():
            if (event.observed_generation, event.phase) == (generation, phase):
                return event
        return None

    event: StatusEvent = await eventually(found, f"{phase} of {generation} is told", SECONDS)
    return event


async def image(site: Site) -> str:
    deployments = await site.kube.resource("apps/v1", "Deployment")
    live = await site.kube.get(deployments, "arcbridge-agent", NAMESPACE)
    return str(live["spec"]["template"]["spec"]["containers"][0]["image"])


async def instance(site: Site) -> str:
    """Name of the pod that last wrote the resource's status."""
    return str((await site.status())["agent"]["instance"])


async def history(site: Site) -> list[dict[str, Any]]:
    """`helm history`."""
    done = await asyncio.to_thread(
        subprocess.run,
        [state_directory() / "bin" / "helm", "history", "arcbridge-agent", "-n", NAMESPACE,
         "-o", "json", f"--kubeconfig={site.kubeconfig}"],
        capture_output=True, text=True, timeout=60, check=True,
        env={"HOME": str(site.directory), "PATH": ""},
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


async def install(site: Site) -> None:
    """As `kubectl apply` of the manifest does, with the agent inside the cluster."""
    site.control_plane.poll_seconds = 1.0
    await site.install(external=False, replicas=1, image="arcbridge/agent:old")


async def test_a_good_upgrade_arrives_and_a_bad_one_goes_back(site: Site) -> None:
    await install(site)
    async with Node(site).running() as node:
        await eventually(site.is_ready, "the old agent is Ready", SECONDS)
        old = await instance(site)

        # Nothing to go back to in helm: the manifest installed what is there.
        want(site, upgrade("broken", 1, seconds=3))
        failed = await told(site, 1, ExtensionPhase.FAILED)
        assert failed.reason is ReasonCode.UPGRADE_FAILED
        assert "ImagePullBackOff" in failed.message
        assert "the Deployment is as it was" in failed.message
        assert await image(site) == "arcbridge/agent:old"
        assert (node.alive(), await instance(site)) == ([old], old)

        want(site, upgrade("new", 2))
        await told(site, 2, ExtensionPhase.READY)
        assert await image(site) == "arcbridge/agent:new"
        new = await instance(site)
        assert new != old
        await eventually(lambda: node.alive() == [new], "the old agent is gone")
        assert (await history(site))[-1]["status"] == "deployed"
        spec = (await site.resource())["spec"]
        assert (spec["clusterName"], spec["controlPlaneUrl"]) == ("eu-1", site.control_plane.url)

        # The control plane asks for the same again, which is there already.
        want(site, upgrade("new", 3))
        await told(site, 3, ExtensionPhase.READY)
        assert (node.alive(), await instance(site)) == ([new], new)

        absent = upgrade("new", 4).model_copy(update={"state": DesiredState.ABSENT, "spec": None})
        want(site, absent)
        removed = await told(site, 4, ExtensionPhase.REMOVED)
        assert "The agent stays" in removed.message
        assert await image(site) == "arcbridge/agent:new"
        assert await site.is_ready()


async def newest_status(site: Site) -> str:
    """What helm's newest Secret of the agent's release says."""
    secrets = await site.kube.resource("v1", "Secret")
    page = await site.kube.list(secrets, NAMESPACE, label_selector="owner=helm")
    labels = [item["metadata"]["labels"] for item in page.items]
    return str(max(labels, key=lambda one: int(one["version"]))["status"]) if labels else ""


async def test_a_job_that_is_killed_half_way_is_followed_by_one_that_ends_it(site: Site) -> None:
    await install(site)
    async with Node(site).running() as node:
        await eventually(site.is_ready, "the old agent is Ready", SECONDS)

        # Deleted by somebody while helm is at work: the agent that waits makes it anew.
        want(site, upgrade("new", 1))
        await eventually(lambda: newest_status(site), "helm is at work", SECONDS)
        jobs = await site.kube.resource("batch/v1", "Job")
        [job] = (await site.kube.list(jobs, NAMESPACE)).items
        await site.kube.delete(jobs, job["metadata"]["name"], NAMESPACE)
        await told(site, 1, ExtensionPhase.READY)
        assert len(set(node.begun)) == 2
        statuses = [each["status"] for each in await history(site)]
        assert (statuses.count("deployed"), statuses[-1]) == (1, "deployed")
        assert await image(site) == "arcbridge/agent:new"
        new = await instance(site)

        # Killed while it waits for an agent that says nothing, when the old one is gone already.
        async def is_waiting() -> bool:
            asked = await image(site) == f"arcbridge/agent:{MUTE}"
            return asked and await newest_status(site) == "deployed"

        want(site, upgrade(MUTE, 2, seconds=3))
        await eventually(is_waiting, "the Job waits for the new agent", SECONDS)
        [pod] = node.working()
        node.jobs[pod].kill()
        failed = await told(site, 2, ExtensionPhase.FAILED)
        assert "no new agent was connected within 3 s" in failed.message
        assert node.begun.count(pod) == 2
        assert await image(site) == "arcbridge/agent:new"
        assert (await history(site))[-1]["status"] == "deployed"
        assert await instance(site) != new
        await eventually(site.is_ready, "the way back leads to a Ready agent", SECONDS)
