from __future__ import annotations

import psycopg

from relay.server import RelayServer
from shared.contract.canonical import canonical_json
from shared.rpc.codec import inventory_checksum, inventory_chunks
from shared.rpc.v1 import relay_pb2 as pb
from tests.integration.relay.agents import Credential, Link, dialled


def item(kind: str, name: str, **data: object) -> pb.InventoryObject:
    return pb.InventoryObject(kind=kind, name=name, data=canonical_json(data))


NODES = [item("Node", f"n{i}", ready=True, cpuMillicores=4000, memoryBytes=2**33) for i in "012"]
REST = [item("Namespace", "a"), item("Deployment", "web"), item("HelmRelease", "r")]


async def send_full(link: Link, objects: list[pb.InventoryObject]) -> str:
    for chunk in inventory_chunks(objects):
        await link.say(pb.AgentMessage(inventory_full=chunk))
    return (await link.heard("ack")).ack.inventory_checksum


def stored(owner_url: str) -> tuple[dict[str, object], set[tuple[str, str]]]:
    with psycopg.connect(owner_url) as connection:
        summary = connection.execute("select summary from inventories").fetchone()
        objects = connection.execute("select kind, name from inventory_objects").fetchall()
    assert summary is not None
    return summary[0], set(objects)


async def test_a_relay_without_the_inventory_asks_for_it_and_acknowledges_what_it_stored(
    relay: RelayServer, agent: Credential, owner_postgres_url: str
) -> None:
    async with dialled(agent, relay.port) as link:
        await link.heard("inventory_resync")
        assert await send_full(link, NODES + REST) == inventory_checksum(NODES + REST)
    summary, objects = stored(owner_postgres_url)
    assert len(objects) == 6
    assert summary == {
        "nodes": 3, "nodesReady": 3, "namespaces": 1, "workloads": 1, "releases": 1,
        "cpuMillicores": 12_000, "memoryBytes": 3 * 2**33,
    }  # fmt: skip


async def test_an_agent_whose_inventory_is_stored_is_asked_for_nothing(
    relay: RelayServer, agent: Credential
) -> None:
    async with dialled(agent, relay.port) as link:
        checksum = await send_full(link, NODES)
    async with dialled(agent, relay.port, inventory_checksum=checksum) as link:
        assert await link.hears_nothing("inventory_resync", 0.3)


async def test_a_full_inventory_replaces_the_one_before(
    relay: RelayServer, agent: Credential, owner_postgres_url: str
) -> None:
    async with dialled(agent, relay.port) as link:
        await send_full(link, NODES + REST)
        await send_full(link, REST)
    assert stored(owner_postgres_url)[1] == {(each.kind, each.name) for each in REST}


async def test_a_delta_adds_changes_and_removes(
    relay: RelayServer, agent: Credential, owner_postgres_url: str
) -> None:
    async with dialled(agent, relay.port) as link:
        base = await send_full(link, NODES + REST)
        changed = item("Node", "n1", ready=False, cpuMillicores=8000, memoryBytes=0)
        after = [NODES[0], changed, *REST, item("Namespace", "b")]
        delta = pb.InventoryDelta(
            base_checksum=base,
            checksum=inventory_checksum(after),
            added=[item("Namespace", "b")],
            changed=[changed],
            removed=[NODES[2]],
        )
        for _ in range(2):  # a repeated delta is acknowledged again
            await link.say(pb.AgentMessage(inventory_delta=delta))
            ack = (await link.heard("ack")).ack
            assert ack.inventory_checksum == inventory_checksum(after)
    summary, objects = stored(owner_postgres_url)
    assert objects == {(each.kind, each.name) for each in after}
    assert (summary["nodes"], summary["nodesReady"], summary["cpuMillicores"]) == (2, 1, 12_000)


async def test_a_delta_against_another_inventory_asks_for_a_full_one(
    relay: RelayServer, agent: Credential, owner_postgres_url: str
) -> None:
    async with dialled(agent, relay.port) as link:
        await send_full(link, REST)
        delta = pb.InventoryDelta(base_checksum="sha256:other", checksum="x", removed=REST)
        await link.say(pb.AgentMessage(inventory_delta=delta))
        await link.heard("inventory_resync")
    assert len(stored(owner_postgres_url)[1]) == len(REST)


async def test_an_inventory_of_many_chunks_is_put_together(
    relay: RelayServer, agent: Credential, owner_postgres_url: str
) -> None:
    many = [item("Deployment", f"d{number:04}", image="x" * 900) for number in range(2_000)]
    assert len(list(inventory_chunks(many))) > 5
    async with dialled(agent, relay.port) as link:
        await send_full(link, many)
    assert len(stored(owner_postgres_url)[1]) == 2_000
