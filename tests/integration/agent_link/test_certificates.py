from __future__ import annotations

from datetime import timedelta

from shared.rpc.v1 import relay_pb2 as pb
from tests.fakes.control_plane import notice
from tests.integration.agent_link.conftest import Site, eventually
from tests.integration.agent_link.test_joining import secret


async def test_certificates_are_renewed_with_new_keys_while_the_agent_runs(site: Site) -> None:
    # Backdated by five minutes, a leaf of 20 s is past half its life as soon as it is made.
    site.control_plane.leaf_lifetime = timedelta(seconds=20)
    await site.install()
    await site.agent().start()
    await eventually(lambda: site.control_plane.renewals >= 1, "a renewal")
    # The next one lasts: from then on there is one serial to look for.
    site.control_plane.leaf_lifetime = timedelta(days=1)
    await eventually(site.is_ready, "the resource is Ready")

    async def settled() -> bool:
        status = await site.status()
        renewed = len({stream.serial for stream in site.control_plane.streams}) >= 2
        serials = [stream.serial for stream in site.control_plane.open_streams()]
        return renewed and serials == [status["certificate"]["serial"]]

    await eventually(settled, "one stream with a new certificate, and the status names it")
    assert "pending.key" not in await secret(site, "arcbridge-agent-identity")
    assert len(site.control_plane.registrations) == 1


async def test_a_revoked_agent_comes_back_under_its_identity_with_a_new_token(site: Site) -> None:
    await site.install()
    await site.agent().start()
    await eventually(site.is_ready, "the resource is Ready")
    before = (await site.status())["clusterId"]
    for held in site.control_plane.held.values():
        held.revoked = True
    [stream] = site.control_plane.open_streams()
    stream.outgoing.put_nowait(notice("CertificateRevoked"))

    async def revoked() -> bool:
        return await site.condition("Connected") == ("False", "CertificateRevoked")

    await eventually(revoked, "the condition Connected tells of the revocation")

    async def missing() -> bool:
        return await site.condition("CertificateValid") == ("False", "TokenMissing")

    await eventually(missing, "the condition CertificateValid asks for a token")
    await site.install()
    await eventually(site.is_ready, "the resource is Ready again")
    assert (await site.status())["clusterId"] == before


async def test_a_skewed_clock_is_a_condition(site: Site) -> None:
    await site.install()
    await site.agent().start()
    await eventually(site.is_ready, "the resource is Ready")
    assert await site.condition("ClockSynced") == ("True", "ClockSynced")
    [stream] = site.control_plane.open_streams()
    stream.outgoing.put_nowait(
        pb.RelayMessage(notice=pb.Notice(reason="ClockSkewed", message="86400 s ahead"))
    )

    async def skewed() -> bool:
        return await site.condition("ClockSynced") == ("False", "ClockSkewed")

    await eventually(skewed, "the condition tells of the skew")
