"""The inventory of a cluster of 5,000 nodes: messages and memory are bounded, changes are small."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from agent.kube.client import PatchType
from shared.contract.limits import INVENTORY_BYTES, INVENTORY_CHUNK_BYTES
from shared.rpc.codec import inventory_checksum
from shared.rpc.v1 import relay_pb2 as pb
from tests.fakes.control_plane import FakeControlPlane
from tests.integration.agent_link.conftest import AgentProcess, eventually, open_site

NODES = 5_000
SECONDS = 150.0
RESIDENT_MB = 200
"""Of the whole agent; an idle one of a small cluster has half of it."""


def resident_mb(agent: AgentProcess) -> float:
    assert agent.process is not None
    pages = int(Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def test_five_thousand_nodes_are_told_once_and_then_what_changes(tmp_path: Path) -> None:
    plane = FakeControlPlane(tmp_path / "ca")
    async with plane.running(), open_site(tmp_path, plane, node_count=NODES) as site:
        await site.install()
        agent = site.agent(ARCBRIDGE_AGENT_LEASE_SECONDS="60")
        await agent.start()

        def told() -> list[Any]:
            return plane.streams[0].inventory if plane.streams else []

        await eventually(lambda: told() and told()[-1].last, "the whole inventory", SECONDS)
        full = list(told())
        objects = [item for chunk in full for item in chunk.objects]
        assert sum(item.kind == "Node" for item in objects) == NODES
        assert max(chunk.ByteSize() for chunk in full) <= INVENTORY_CHUNK_BYTES
        assert sum(chunk.ByteSize() for chunk in full) <= INVENTORY_BYTES
        assert full[-1].checksum == inventory_checksum(objects)
        assert resident_mb(agent) < RESIDENT_MB

        # What kubelets write all the time changes nothing that shows; a lost node does.
        nodes = await site.kube.resource("v1", "Node")
        names = [item.name for item in objects if item.kind == "Node"]
        for name in names[:50]:
            await site.kube.patch(
                nodes, name, None, {"metadata": {"annotations": {"beat": "1"}}},
                patch_type=PatchType.MERGE,
            )  # fmt: skip
        await site.kube.delete(nodes, names[0])
        await eventually(lambda: len(told()) > len(full), "the difference", SECONDS)
        [delta] = told()[len(full) :]
        assert isinstance(delta, pb.InventoryDelta)
        assert [(item.kind, item.name) for item in delta.removed] == [("Node", names[0])]
        assert not delta.added
        assert not delta.changed
        left = [item for item in objects if (item.kind, item.name) != ("Node", names[0])]
        assert delta.base_checksum == full[-1].checksum
        assert delta.checksum == inventory_checksum(left)
        assert resident_mb(agent) < RESIDENT_MB
