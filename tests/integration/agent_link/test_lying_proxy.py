"""Somebody in whom TLS to the API ends: may read what passes; what they say decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agent.errors import KubeNotFound
from shared.identity.documents import new_document_key
from shared.rpc.v1 import relay_pb2 as pb
from tests.integration.agent_link.conftest import Site, eventually
from tests.integration.agent_link.desired import greeting

SECONDS = 60.0


async def text_of_the_greeting(site: Site) -> str | None:
    maps = await site.kube.resource("v1", "ConfigMap")
    try:
        text: str = (await site.kube.get(maps, "greeting", "default"))["data"]["text"]
    except KubeNotFound:
        return None
    return text


async def is_refused(site: Site) -> bool:
    return await site.condition("Ready") == ("False", "DocumentRefused")


async def test_a_certificate_that_has_ended_is_not_good_again_by_another_date(site: Site) -> None:
    """A key that was stolen once, or a document of long ago: the answers bear the date it had."""
    plane = site.control_plane
    plane.extensions = (greeting("of long ago"),)
    await site.install()
    agent = site.agent()
    plane.dates_off = -timedelta(days=40)
    then = datetime.now(UTC) + plane.dates_off
    key = await new_document_key(plane.issuer, trust_domain="arcbridge.local", now=then)
    plane.tampered = lambda cluster_id: key.signed(plane.document(cluster_id), then)
    await agent.start()
    await eventually(lambda: is_refused(site), "the refusal is told", SECONDS)
    assert await site.condition("ClockSynced") == ("True", "ClockSynced")
    assert await text_of_the_greeting(site) is None
    plane.tampered = None
    plane.open_streams()[0].outgoing.put_nowait(
        pb.RelayMessage(desired_changed=pb.DesiredChanged())
    )
    await eventually(site.is_ready, "the document of today is taken", SECONDS)


async def test_the_next_leader_takes_no_older_document_than_the_one_before(site: Site) -> None:
    """Its own journal says nothing of what the other one held; the resource does."""
    plane = site.control_plane
    await site.install()
    first, second = site.agent("a"), site.agent("b")
    plane.extensions = (greeting("old"),)
    await first.start()
    await eventually(site.is_ready, "the resource is Ready", SECONDS)
    [stream] = plane.open_streams()
    old = await plane.signed(plane.document(stream.cluster_id), timedelta(minutes=2))
    plane.extensions = (greeting("new", revision=2, generation=2),)
    stream.outgoing.put_nowait(pb.RelayMessage(desired_changed=pb.DesiredChanged()))

    async def is_told() -> bool:
        status = await site.status()
        held = status.get("desiredDigest") == plane.document(stream.cluster_id).digest
        return held and "desiredSignedAt" in status and await text_of_the_greeting(site) == "new"

    await eventually(is_told, "the resource shows which document is in force", SECONDS)
    await first.stop()
    plane.tampered = lambda _: old
    await second.start()
    await eventually(lambda: is_refused(site), "the older one is refused", SECONDS)
    assert (await site.status())["desiredSignedAt"], "and the next but one knows it as well"
    assert await text_of_the_greeting(site) == "new"
