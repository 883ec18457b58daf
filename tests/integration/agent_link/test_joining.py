from __future__ import annotations

import signal

from tests.integration.agent_link.conftest import Site, eventually


async def test_an_installed_agent_registers_streams_and_says_so(site: Site) -> None:
    await site.install()
    await site.agent().start()
    await eventually(site.is_ready, "the resource is Ready")
    status = await site.status()
    assert status["tenant"] == "demo"
    assert status["certificate"]["notAfter"]
    assert status["observedGeneration"] == 1
    [stream] = site.control_plane.open_streams()
    assert str(stream.cluster_id) == status["clusterId"]
    assert stream.hello.kubernetes_version.startswith("v1.")
    await eventually(lambda: len(stream.heartbeats) > 3, "heartbeats arrive")


async def test_sigterm_ends_the_agent_in_order(site: Site) -> None:
    await site.install()
    agent = site.agent()
    await agent.start()
    await eventually(site.is_ready, "the resource is Ready")
    assert await agent.stop(signal.SIGTERM) == 0
    assert not agent.ready_file.exists()
    leases = await site.kube.resource("coordination.k8s.io/v1", "Lease")
    lease = await site.kube.get(leases, "arcbridge-agent", "arcbridge-system")
    assert not lease["spec"].get("holderIdentity")
