from __future__ import annotations

import asyncio
import signal

import httpx

from agent.lease.elector import EXIT_LEASE_LOST
from tests.integration.agent_link.conftest import Site, eventually


async def test_only_the_leader_streams_and_the_other_takes_over(site: Site) -> None:
    await site.install()
    first, second = site.agent("a"), site.agent("b")
    await first.start()
    await eventually(site.is_ready, "the resource is Ready")
    await second.start()
    await asyncio.sleep(1)
    assert len(site.control_plane.open_streams()) == 1
    assert await second.metric("arcbridge_agent_leading") == 0
    await first.stop(signal.SIGTERM)
    await eventually(lambda: len(site.control_plane.streams) == 2, "the other one streams")
    assert len(site.control_plane.registrations) == 1


async def test_a_leader_paused_for_twice_its_lease_does_nothing_when_it_wakes(site: Site) -> None:
    await site.install()
    first, second = site.agent("a"), site.agent("b")
    await first.start()
    await eventually(site.is_ready, "the resource is Ready")
    await second.start()
    first.send(signal.SIGSTOP)
    await asyncio.sleep(6)
    await eventually(lambda: len(site.control_plane.streams) == 2, "the other one leads")
    first.send(signal.SIGCONT)
    assert first.process is not None
    async with asyncio.timeout(5):
        assert await first.process.wait() == EXIT_LEASE_LOST
    assert len(site.control_plane.streams) == 2


async def test_of_two_agents_with_one_identity_the_newest_session_counts(site: Site) -> None:
    await site.install()
    await site.agent("a").start()
    await eventually(site.is_ready, "the resource is Ready")
    await steal_identity(site)
    # The agent's own account may not read a second namespace's Secrets: an administrator may.
    administrator = {"KUBECONFIG": str(site.kubeconfig), "ARCBRIDGE_AGENT_IMPERSONATE": ""}
    await site.agent("b", ARCBRIDGE_AGENT_NAMESPACE="thief", **administrator).start()
    plane = site.control_plane
    await eventually(lambda: len(plane.streams) == 2, "both have streamed")
    await eventually(lambda: len(plane.open_streams()) == 1, "one is left")
    assert plane.open_streams() == [plane.streams[-1]]
    loser = site.agents[0]
    await eventually(lambda: loser.logged("stream ended"), "the loser says so")
    assert loser.logged("stream ended")[0]["fields"]["end"] == "duplicate"
    # The loser does not come back at once, to take turns with the winner.
    await asyncio.sleep(3)
    assert len(plane.streams) == 2


async def steal_identity(site: Site) -> None:
    """Copy the identity to where a second agent of the same cluster looks for its own."""
    secrets = await site.kube.resource("v1", "Secret")
    namespaces = await site.kube.resource("v1", "Namespace")
    await site.kube.create(
        namespaces, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "thief"}}
    )
    mine = await site.kube.get(secrets, "arcbridge-agent-identity", "arcbridge-system")
    await site.kube.create(
        secrets,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "arcbridge-agent-identity", "namespace": "thief"},
            "data": mine["data"],
        },
    )


async def test_health_is_served(site: Site) -> None:
    await site.install()
    agent = site.agent()
    await agent.start()
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{agent.port()}", trust_env=False
    ) as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.post("/livez")).status_code == 405
        await eventually(site.is_ready, "the resource is Ready")
        assert "arcbridge_agent_connected 1.0" in (await client.get("/metrics")).text
