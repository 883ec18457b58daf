from __future__ import annotations

import asyncio
import json
import shutil
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.errors import KubeNotFound
from dev.kube.http import Request
from shared.contract.canonical import digest
from shared.contract.desired import DesiredExtension
from shared.contract.extension import DriftMode, DriftPolicy
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.rpc.codec import inventory_checksum
from shared.rpc.v1 import relay_pb2 as pb
from tests.fakes.control_plane import FakeControlPlane
from tests.integration.agent.reconcile.conftest import BIN, Tools
from tests.integration.agent.reconcile.sources import chart_archive
from tests.integration.agent_link.conftest import (
    NAME,
    NAMESPACE,
    Site,
    eventually,
    open_site,
)
from tests.integration.agent_link.desired import greeting

IDLE_SECONDS = 2.0
"""Several times what an agent that polled for drift "within seconds" would wait."""
TRACE = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


def phases(site: Site) -> list[ExtensionPhase]:
    events = sorted(site.control_plane.events.values(), key=lambda e: e.sequence)
    return [event.phase for event in events]


def corrected(extension: DesiredExtension) -> DesiredExtension:
    """The same, with drift set right."""
    assert extension.spec is not None
    policy = DriftPolicy(mode=DriftMode.CORRECT, interval=timedelta(hours=1))
    spec = extension.spec.model_copy(update={"drift": policy})
    changes = {"spec": spec, "spec_digest": digest(spec.to_canonical())}
    return extension.model_copy(update=changes)


def is_reported_ready(site: Site, revision: int = 1) -> bool:
    return any(
        event.phase is ExtensionPhase.READY and event.revision == revision
        for event in site.control_plane.events.values()
    )


async def text_of_the_greeting(site: Site) -> str:
    maps = await site.kube.resource("v1", "ConfigMap")
    text: str = (await site.kube.get(maps, "greeting", "default"))["data"]["text"]
    return text


async def change_spec(site: Site, spec: dict[str, Any]) -> None:
    clusters = await site.kube.resource("arcbridge.io/v1", "ArcBridgeCluster")
    await site.kube.patch(clusters, NAME, None, {"spec": spec})


@pytest.fixture
async def joined(site: Site) -> Site:
    """A site whose agent is Ready."""
    await site.install()
    await site.agent().start()
    await eventually(site.is_ready, "the resource is Ready")
    return site


async def test_a_wake_up_brings_an_extension_to_ready_in_one_trace(joined: Site) -> None:
    plane = joined.control_plane
    plane.extensions = (greeting(traceparent=TRACE),)
    [stream] = plane.open_streams()
    for _ in range(5):
        stream.outgoing.put_nowait(
            pb.RelayMessage(desired_changed=pb.DesiredChanged(), traceparent=TRACE)
        )
    await eventually(lambda: is_reported_ready(joined), "the extension is reported Ready")
    assert phases(joined)[0] is ExtensionPhase.APPLYING
    assert await text_of_the_greeting(joined) == "hello"
    traces = {e.traceparent.split("-")[1] for e in plane.events.values() if e.traceparent}
    assert traces == {TRACE.split("-")[1]}

    async def shown() -> bool:
        status = await joined.status()
        return (
            status.get("extensionsReady") == "1/1"
            and status["desiredDigest"] == plane.document(stream.cluster_id).digest
        )

    await eventually(shown, "the resource shows the extension")
    await eventually(lambda: is_told_as_an_event(joined, "InstallSucceeded"), "there is an Event")
    await eventually(lambda: stream.heartbeats[-1].extensions_ready == 1, "heartbeats count it")


async def test_an_idle_agent_asks_nothing_and_sees_an_edit_at_once(joined: Site) -> None:
    """What is done for extensions is done in the reconciler's name: its requests are those."""
    plane = joined.control_plane
    plane.extensions = (greeting(),)
    asked: list[tuple[str, str, bool]] = []

    def note(request: Request) -> None:
        watch = request.flag("watch") and "watch" in request.query
        if request.user.name == f"system:serviceaccount:{NAMESPACE}:arcbridge-reconciler":
            asked.append((request.method, request.path, watch))

    joined.cluster.cluster.observers.append(note)
    plane.open_streams()[0].outgoing.put_nowait(
        pb.RelayMessage(desired_changed=pb.DesiredChanged())
    )
    await eventually(lambda: is_reported_ready(joined), "the extension is reported Ready")
    path = "/api/v1/namespaces/default/configmaps/greeting"
    assert ("PATCH", path, False) in asked, "the object is written in the reconciler's name"
    await eventually(lambda: any(watch for *_, watch in asked), "the object is watched")
    await eventually(
        lambda: any(e.drift for e in plane.events.values()), "the first check is reported"
    )
    asked.clear()
    await asyncio.sleep(IDLE_SECONDS)
    assert asked == [], "nothing is asked for while nothing happens"
    maps = await joined.kube.resource("v1", "ConfigMap")
    edited = time.monotonic()
    await joined.kube.patch(maps, "greeting", "default", {"data": {"text": "another"}})
    await eventually(
        lambda: any(e.drift and e.drift.differences for e in plane.events.values()),
        "the edit is told",
        5,
    )
    assert time.monotonic() - edited < 5
    assert asked, "the requests are noted"
    assert len(asked) <= 4, asked
    assert {request[1] for request in asked} == {path}


async def test_a_document_that_is_not_signed_or_older_is_refused_and_told(joined: Site) -> None:
    plane = joined.control_plane
    [stream] = plane.open_streams()

    def wake() -> None:
        stream.outgoing.put_nowait(pb.RelayMessage(desired_changed=pb.DesiredChanged()))

    async def says(text: str) -> bool:
        try:
            return await text_of_the_greeting(joined) == text
        except KubeNotFound:
            return False

    async def is_refused(words: str) -> bool:
        said = {each["type"]: each for each in (await joined.status())["conditions"]}["Ready"]
        return said["reason"] == "DocumentRefused" and words in said["message"]

    plane.extensions = (greeting("first"),)
    replayed = await plane.signed(plane.document(stream.cluster_id))
    wake()
    await eventually(lambda: says("first"), "the first document is applied")
    plane.extensions = (greeting("second", revision=2, generation=2),)
    wake()
    await eventually(lambda: says("second"), "the second document is applied")
    plane.extensions = (greeting("forged", revision=4, generation=4),)
    forged = plane.document(stream.cluster_id)
    plane.extensions = (greeting("third", revision=3, generation=3),)
    signed = await plane.signed(plane.document(stream.cluster_id))
    # Its signature fits; what it lists was cut off on the way, or is said to be all there is.
    cut_off = signed.model_copy(update={"extensions": ()})
    for tampered, why in (
        (plane.document(stream.cluster_id), "it is not signed"),
        (replayed, "it is older"),
        (cut_off, "it is not complete"),
        (forged.model_copy(update={"signature": signed.signature}), "is not of this document"),
    ):
        fetched, plane.tampered = plane.fetches, lambda _, answer=tampered: answer
        wake()
        await eventually(lambda before=fetched: plane.fetches > before, "it is asked for")
        await eventually(lambda words=why: is_refused(words), f"the refusal is told: {why}")
        assert await says("second"), "nothing is changed or taken away"
        plane.tampered = lambda _: plane.document(stream.cluster_id)
    plane.tampered = None
    wake()
    await eventually(lambda: says("third"), "the signed document is applied")
    await eventually(joined.is_ready, "the refusal is over")


async def test_a_lost_answer_to_a_report_is_followed_by_the_same_events(joined: Site) -> None:
    plane = joined.control_plane
    plane.troubles["status"].extend(["lose", "503"])
    plane.extensions = (greeting(),)
    plane.open_streams()[0].outgoing.put_nowait(
        pb.RelayMessage(desired_changed=pb.DesiredChanged())
    )
    await eventually(lambda: is_reported_ready(joined), "the extension is reported Ready")
    first, second = plane.batches[0], plane.batches[1]
    assert first.events[0] == second.events[0]
    sequences = sorted(event.sequence for event in plane.events.values())
    assert sequences == list(range(1, len(sequences) + 1))


async def test_a_stale_epoch_makes_the_agent_take_a_new_session(joined: Site) -> None:
    plane = joined.control_plane
    [stream] = plane.open_streams()
    plane.epochs[stream.cluster_id] += 5
    plane.extensions = (greeting(),)
    stream.outgoing.put_nowait(pb.RelayMessage(desired_changed=pb.DesiredChanged()))
    await eventually(lambda: is_reported_ready(joined), "the extension is reported Ready")
    assert plane.batches[-1].session_epoch == plane.epochs[stream.cluster_id] == 7


async def test_a_drained_stream_comes_back_within_its_spread(joined: Site) -> None:
    plane = joined.control_plane
    [stream] = plane.open_streams()
    stream.outgoing.put_nowait(pb.RelayMessage(drain=pb.Drain(spread_seconds=1)))
    await eventually(lambda: len(plane.streams) == 2, "the agent reconnects", seconds=4)
    assert await joined.condition("Connected") == ("True", "ClusterConnected")


async def test_an_agent_killed_and_restarted_is_the_same_cluster(joined: Site) -> None:
    plane = joined.control_plane
    plane.extensions = (greeting(),)
    [agent] = joined.agents
    await agent.stop(signal.SIGKILL)
    began = time.monotonic()
    await agent.start()
    await eventually(lambda: is_reported_ready(joined), "the extension is reported Ready")
    assert len(plane.registrations) == 1
    first, second = plane.streams
    assert first.cluster_id == second.cluster_id
    assert first.serial == second.serial
    assert second.hello.last_session_epoch == 1
    assert time.monotonic() - began < 15


async def test_a_lost_journal_heals_by_reporting_anew(joined: Site) -> None:
    plane = joined.control_plane
    plane.extensions = (greeting(),)
    plane.open_streams()[0].outgoing.put_nowait(
        pb.RelayMessage(desired_changed=pb.DesiredChanged())
    )
    await eventually(lambda: is_reported_ready(joined), "the extension is reported Ready")
    [agent] = joined.agents
    await agent.stop(signal.SIGKILL)
    plane.events.clear()
    await asyncio.to_thread(shutil.rmtree, Path(agent.environment["ARCBRIDGE_AGENT_STATE_DIR"]))
    await agent.start()
    await eventually(lambda: is_reported_ready(joined), "the state is reported again")
    assert plane.batches[-1].session_epoch == 2


async def test_the_agent_works_on_through_an_outage_and_a_restart(tmp_path: Path) -> None:
    plane = FakeControlPlane(tmp_path / "ca")
    async with open_site(tmp_path, plane) as site:
        plane.extensions = (corrected(greeting()),)
        async with plane.running():
            await site.install()
            agent = site.agent()
            await agent.start()
            await eventually(lambda: is_reported_ready(site), "the extension is reported Ready")
            ports, fetched = plane.ports(), plane.fetches
        # Nothing answers any more: neither the API nor the relay.
        await eventually(lambda: is_disconnected(site), "the resource says Connected=False")
        await agent.stop(signal.SIGKILL)
        before = len(agent.logged("extension reported"))
        await agent.start()
        await eventually(
            lambda: len(agent.logged("extension reported")) > before, "the engine has looked"
        )
        maps = await site.kube.resource("v1", "ConfigMap")
        await site.kube.delete(maps, "greeting", "default")

        async def is_back() -> bool:
            try:
                return await text_of_the_greeting(site) == "hello"
            except KubeNotFound:
                return False

        await eventually(is_back, "the engine works with the document it holds", seconds=30)
        assert plane.fetches == fetched, "nobody answered meanwhile"
        plane.events.clear()
        async with plane.running(*ports):
            await eventually(
                lambda: any(e.reason is ReasonCode.DRIFT_CORRECTED for e in plane.events.values()),
                "what happened meanwhile is reported",
                seconds=30,
            )
            await eventually(site.is_ready, "the resource is Ready again")
        assert len(plane.registrations) == 1


async def is_disconnected(site: Site) -> bool:
    return await site.condition("Connected") == ("False", "ControlPlaneUnreachable")


async def test_not_now_is_told_and_holds_the_engine(joined: Site) -> None:
    plane = joined.control_plane
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    await change_spec(joined, {"notNow": {"until": until.isoformat(), "reason": "holidays"}})
    await eventually(
        lambda: plane.batches and plane.batches[-1].not_now_until == until,
        "the control plane is told",
    )
    plane.extensions = (greeting(),)
    plane.open_streams()[0].outgoing.put_nowait(
        pb.RelayMessage(desired_changed=pb.DesiredChanged())
    )

    async def held() -> bool:
        return await joined.condition("Ready") == ("False", "NotNow")

    await eventually(held, "the resource says NotNow")
    maps = await joined.kube.resource("v1", "ConfigMap")
    names = [i["metadata"]["name"] for i in (await joined.kube.list(maps, "default")).items]
    assert "greeting" not in names
    soon = datetime.now(UTC) + timedelta(seconds=2)
    await change_spec(joined, {"notNow": {"until": soon.isoformat(), "reason": "nearly over"}})
    await eventually(lambda: is_reported_ready(joined), "the engine goes on by itself")
    assert datetime.now(UTC) >= soon
    await eventually(lambda: plane.batches[-1].not_now_until is None, "it is taken back")
    await eventually(joined.is_ready, "the resource is Ready again")


async def is_told_as_an_event(site: Site, reason: str) -> bool:
    events = await site.kube.resource("events.k8s.io/v1", "Event")
    return reason in {item["reason"] for item in (await site.kube.list(events)).items}


async def test_a_suspended_cluster_is_left_alone_and_says_so_until_it_is_lifted(
    joined: Site,
) -> None:
    plane = joined.control_plane
    [stream] = plane.open_streams()

    def ask_for(*extensions: DesiredExtension) -> None:
        plane.extensions = extensions
        stream.outgoing.put_nowait(pb.RelayMessage(desired_changed=pb.DesiredChanged()))

    ask_for(greeting())
    await eventually(lambda: is_reported_ready(joined), "the extension is reported Ready")
    await change_spec(joined, {"suspend": True})

    async def says_so() -> bool:
        return await joined.condition("Ready") == ("False", "Suspended")

    await eventually(says_so, "the resource says Suspended")
    tools = Tools(joined.kubeconfig, joined.directory / "tools", BIN)
    [_, row] = (await asyncio.to_thread(tools.kubectl, "get", "arcbridgeclusters")).splitlines()
    assert row.split()[2:5] == ["True", "False", "Suspended"], row
    # The control plane takes it for a cluster that wants peace: no rollout waits for it or fails.
    await eventually(lambda: plane.batches[-1].not_now_until, "the control plane is told")
    reports, beats = len(plane.events), len(stream.heartbeats)
    ask_for(greeting("later", revision=2, generation=2))

    async def holds_it() -> bool:
        status = await joined.status()
        [line] = status["extensions"]
        digest = plane.document(stream.cluster_id).digest
        return (status["desiredDigest"], line["reason"]) == (digest, "Suspended")

    await eventually(holds_it, "the newer document is held and not acted on")
    await eventually(lambda: len(stream.heartbeats) > beats + 2, "heartbeats go on")
    assert await text_of_the_greeting(joined) == "hello"
    assert len(plane.events) == reports
    await eventually(lambda: is_told_as_an_event(joined, "Suspended"), "there is an Event")
    await change_spec(joined, {"suspend": False})
    await eventually(lambda: is_reported_ready(joined, 2), "lifted, it goes on at once")
    assert await text_of_the_greeting(joined) == "later"
    await eventually(lambda: plane.batches[-1].not_now_until is None, "it is taken back")
    await eventually(joined.is_ready, "the resource is Ready again")


async def test_everything_that_an_inventory_lists_is_told_and_gone_when_it_is_gone(
    site: Site,
) -> None:
    answers: set[str] = set()

    def note(request: Request) -> None:
        agents = request.user.name.startswith(f"system:serviceaccount:{NAMESPACE}:")
        if agents and request.path == "/api/v1/secrets":
            answers.add(request.headers.get("accept", ""))

    site.cluster.cluster.observers.append(note)
    await site.install()
    # helm's first questions keep the simulated API server, in this process, busy for a while.
    await site.agent(ARCBRIDGE_AGENT_LEASE_SECONDS="15").start()
    await eventually(site.is_ready, "the resource is Ready")
    [stream] = site.control_plane.open_streams()
    tools = Tools(site.kubeconfig, site.directory / "tools", BIN)
    chart = site.directory / "chart.tgz"
    chart.write_bytes(chart_archive())
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [{"name": "v1", "served": True, "storage": True,
                          "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    }  # fmt: skip
    definitions = await site.kube.resource("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    await site.kube.create(definitions, definition)
    await asyncio.to_thread(
        tools.helm, "install", "web", str(chart), "--namespace=shop", "--create-namespace",
        "--set=replicas=2", "--wait",
    )  # fmt: skip
    for kind, name, spec in (
        ("StatefulSet", "db", {"replicas": 3, "serviceName": "db"}),
        ("DaemonSet", "logs", {}),
    ):
        await site.kube.create(await site.kube.resource("apps/v1", kind), pods_of(kind, name, spec))
    nodes = await site.kube.resource("v1", "Node")
    [first, *others] = (await site.kube.list(nodes)).items
    node = ("Node", "", first["metadata"]["name"])
    release = ("HelmRelease", "shop", "web")
    stays = {node, ("CustomResourceDefinition", "", "gadgets.example.com")}
    brought = {
        ("Namespace", "", "shop"),
        ("Deployment", "shop", "web"),
        ("StatefulSet", "shop", "db"),
        ("DaemonSet", "shop", "logs"),
        release,
    }

    daemons = 1 + len(others)

    def told(key: tuple[str, str, str]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(assembled(stream.inventory).get(key, b"{}"))
        return found

    await eventually(
        lambda: (
            told(("Deployment", "shop", "web")) == {"desired": 2, "ready": 2}
            and told(("StatefulSet", "shop", "db")) == {"desired": 3, "ready": 3}
            and told(("DaemonSet", "shop", "logs")) == dict.fromkeys(("desired", "ready"), daemons)
            and told(release).get("status") == "deployed"
        ),
        "the workloads and the release are told",
        30,
    )
    assert brought | stays <= assembled(stream.inventory).keys()
    assert told(release)["revision"] == 1
    capacity, system = first["status"]["capacity"], first["status"]["nodeInfo"]
    assert told(node)["ready"] is True
    assert told(node)["cpuMillicores"] == int(capacity["cpu"]) * 1000
    assert told(node)["memoryBytes"] == int(capacity["memory"].removesuffix("Gi")) << 30
    for field in ("kubeletVersion", "architecture", "osImage"):
        assert told(node)[field] == system[field]
    await asyncio.to_thread(tools.helm, "uninstall", "web", "--namespace=shop")
    namespaces = await site.kube.resource("v1", "Namespace")
    await site.kube.delete(namespaces, "shop")
    await eventually(
        lambda: not brought & assembled(stream.inventory).keys(), "all of it is gone", 30
    )
    assert stays <= assembled(stream.inventory).keys()
    assert answers, "releases are Secrets"
    assert all("PartialObjectMetadata" in each for each in answers), (
        "whose content is not asked for"
    )


def pods_of(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A workload of a pod that does nothing."""
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "busybox:1.37"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            **spec,
        },
    }


def assembled(messages: list[Any]) -> dict[tuple[str, str, str], bytes]:
    """What the differences make of the whole; every checksum on the way has to hold."""
    held: dict[tuple[str, str, str], Any] = {}
    for message in messages:
        if isinstance(message, pb.InventoryFull):
            held = held if message.chunk else {}
            held |= {(o.kind, o.namespace, o.name): o for o in message.objects}
            assert not message.last or inventory_checksum(held.values()) == message.checksum
        else:
            assert message.base_checksum == inventory_checksum(held.values())
            held |= {(o.kind, o.namespace, o.name): o for o in (*message.added, *message.changed)}
            for gone in message.removed:
                del held[gone.kind, gone.namespace, gone.name]
            assert message.checksum == inventory_checksum(held.values())
    return {key: item.data for key, item in held.items()}


async def test_the_inventory_comes_whole_and_then_in_differences(joined: Site) -> None:
    [stream] = joined.control_plane.open_streams()
    stream.outgoing.put_nowait(pb.RelayMessage(inventory_resync=pb.InventoryResync()))
    await eventually(lambda: any(c.last for c in fulls(stream.inventory)), "the whole arrives")
    objects = [item for chunk in fulls(stream.inventory) for item in chunk.objects]
    whole = fulls(stream.inventory)[-1].checksum
    assert inventory_checksum(objects) == whole
    assert {o.name for o in objects if o.kind == "Node"}
    namespaces = await joined.kube.resource("v1", "Namespace")
    await joined.kube.create(
        namespaces, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    )
    [delta] = await eventually(
        lambda: [m for m in stream.inventory if isinstance(m, pb.InventoryDelta)],
        "a difference arrives",
    )
    assert delta.base_checksum == whole
    assert [(o.kind, o.name) for o in delta.added] == [("Namespace", "shop")]


def fulls(messages: list[Any]) -> list[pb.InventoryFull]:
    return [m for m in messages if isinstance(m, pb.InventoryFull)]
