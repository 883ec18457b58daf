"""A right that is taken from a running agent is told, stops nothing else, and may come back."""

from __future__ import annotations

from typing import Any

from agent.kube.client import KubeClient
from shared.manifests.install import AGENT
from shared.rpc.v1 import relay_pb2 as pb
from tests.integration.agent_link.conftest import Site, eventually
from tests.integration.agent_link.desired import greeting
from tests.integration.agent_link.test_streaming import (
    change_spec,
    corrected,
    is_reported_ready,
    is_told_as_an_event,
    text_of_the_greeting,
)


def end_watches(site: Site) -> None:
    """As an API server does that restarts: each is asked for anew, with the rights of now."""
    for stream in list(site.cluster.cluster.streams):
        stream.cancel()


async def take_binding(kube: KubeClient) -> dict[str, Any]:
    bindings = await kube.resource("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")
    taken = await kube.get(bindings, AGENT)
    await kube.delete(bindings, AGENT)
    return {**taken, "metadata": {"name": AGENT}}


async def give_back(kube: KubeClient, binding: dict[str, Any]) -> None:
    await kube.create(await kube.resource(binding["apiVersion"], binding["kind"]), binding)


async def test_an_agent_that_may_not_read_its_resource_says_so_and_works_on(site: Site) -> None:
    await site.install()
    agent, plane = site.agent(), site.control_plane
    await agent.start()
    await eventually(site.is_ready, "the resource is Ready")
    plane.extensions = (corrected(greeting()),)
    [stream] = plane.open_streams()
    stream.outgoing.put_nowait(pb.RelayMessage(desired_changed=pb.DesiredChanged()))
    await eventually(lambda: is_reported_ready(site), "the extension is reported Ready")

    binding = await take_binding(site.kube)
    end_watches(site)
    await eventually(lambda: agent.logged("resource cannot be read"), "the log says so")
    await eventually(lambda: is_told_as_an_event(site, "ClusterInvalid"), "and an Event")
    maps = await site.kube.resource("v1", "ConfigMap")
    await site.kube.patch(maps, "greeting", "default", {"data": {"text": "another"}})

    async def is_corrected() -> bool:
        return await text_of_the_greeting(site) == "hello"

    await eventually(is_corrected, "extensions are watched as before")
    assert plane.open_streams() == [stream], "nor did the stream end"
    assert len(agent.logged("resource cannot be read")) == 1, "it is said once"

    await give_back(site.kube, binding)
    await change_spec(site, {"suspend": True})

    async def is_suspended() -> bool:
        return await site.condition("Ready") == ("False", "Suspended")

    await eventually(is_suspended, "what was changed meanwhile counts once it can be read")
    assert plane.open_streams() == [stream]


async def test_watches_that_are_always_too_old_lose_nothing(site: Site) -> None:
    await site.install()
    agent, plane = site.agent(), site.control_plane
    await agent.start()
    await eventually(site.is_ready, "the resource is Ready")
    bucket = site.cluster.cluster.store.bucket(("", "configmaps"))
    bucket.oldest = 10**12
    plane.extensions = (corrected(greeting()),)
    [stream] = plane.open_streams()
    stream.outgoing.put_nowait(pb.RelayMessage(desired_changed=pb.DesiredChanged()))
    await eventually(lambda: is_reported_ready(site), "the extension is reported Ready")
    maps = await site.kube.resource("v1", "ConfigMap")
    await site.kube.patch(maps, "greeting", "default", {"data": {"text": "another"}})

    async def is_corrected() -> bool:
        return await text_of_the_greeting(site) == "hello"

    await eventually(is_corrected, "a list shows what the watches would have", 40)
    assert agent.logged("watch too old, listing again")
