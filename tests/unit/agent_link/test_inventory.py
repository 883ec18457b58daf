from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.inventory.describe import KINDS, distribution, helm_release, node, quantity, workload
from agent.inventory.outbox import InventoryOutbox
from agent.inventory.snapshot import Key, Snapshot, difference, newest_releases, take
from shared.contract.limits import INVENTORY_CHUNK_BYTES
from shared.rpc.codec import inventory_checksum
from shared.rpc.v1 import relay_pb2 as pb
from tests.unit.agent_link.conftest import FakeClock

KEYS = st.tuples(st.sampled_from(["Node", "Namespace"]), st.just(""), st.text("abc", min_size=1))
CONTENTS = st.dictionaries(KEYS, st.dictionaries(st.text("xy", max_size=2), st.integers()))


def snapshot(*names: str) -> Snapshot:
    return take([(("Namespace", "", name), {}) for name in names])


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", "0.5"), ("4", "4"), ("2Ki", "2048"), ("1k", "1000"), (None, "0"), ("?", "0")],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str | None, value: str) -> None:
    assert quantity(text) == Decimal(value)


def test_a_node_tells_what_the_summary_counts() -> None:
    described = node(
        {
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "capacity": {"cpu": "3500m", "memory": "1Gi"},
                "nodeInfo": {"kubeletVersion": "v1.35.0"},
            }
        }
    )
    assert (described["ready"], described["cpuMillicores"]) == (True, 3500)
    assert described["memoryBytes"] == 1024**3


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_an_object_with_nothing_in_it_can_be_described(kind: Any) -> None:
    assert isinstance(kind.describe({}), dict)


def test_workloads_and_releases_are_described() -> None:
    assert workload({"spec": {"replicas": 3}, "status": {"readyReplicas": 2}}) == {
        "desired": 3,
        "ready": 2,
    }
    labels = {"labels": {"status": "deployed", "version": "4"}}
    assert helm_release({"metadata": labels}) == {"status": "deployed", "revision": 4}


def test_of_a_release_only_the_newest_revision_counts() -> None:
    found: list[tuple[Key, dict[str, Any]]] = [
        (("HelmRelease", "shop", f"sh.helm.release.v1.web.v{n}"), {"revision": n})
        for n in (9, 10, 2)
    ]
    assert newest_releases(found) == {("HelmRelease", "shop", "web"): {"revision": 10}}


@pytest.mark.parametrize(
    ("version", "labels", "provider", "name"),
    [
        ("v1.33.1+k3s1", {}, "", "k3s"),
        ("v1.33.1-eks-a1b2", {}, "", "eks"),
        ("v1.33.1", {"kubernetes.azure.com/cluster": "x"}, "", "aks"),
        ("v1.33.1", {}, "kind://docker/kind/kind-control-plane", "kind"),
        ("v1.33.1", {}, "", ""),
    ],
)
def test_distributions_are_told_by_their_marks(
    version: str, labels: dict[str, str], provider: str, name: str
) -> None:
    assert distribution(version, labels, provider) == name


@settings(deadline=None)
@given(CONTENTS, CONTENTS)
def test_a_difference_makes_the_new_of_the_old(
    old: dict[Key, dict[str, int]], new: dict[Key, dict[str, int]]
) -> None:
    before, after = take(old.items()), take(new.items())
    parts = difference(before, after)
    rebuilt = {(o.kind, o.namespace, o.name): o for o in before.messages()}
    for item in parts.removed:
        del rebuilt[(item.kind, item.namespace, item.name)]
    for item in (*parts.added, *parts.changed):
        rebuilt[(item.kind, item.namespace, item.name)] = item
    assert inventory_checksum(rebuilt.values()) == after.checksum


def test_what_does_not_fit_is_counted_and_left_out() -> None:
    found = take([(("Node", "", f"n{i}"), {}) for i in range(100)], limit=400)
    assert 0 < len(found.objects) < 100
    assert found.left_out == 100 - len(found.objects)


class FakeCollector:
    """A collector whose content the test sets."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.complete = True
        self.content = snapshot("a")

    def snapshot(self) -> Snapshot:
        return self.content

    def becomes(self, content: Snapshot) -> None:
        self.content = content
        self.changed.set()


@pytest.fixture
def collector() -> FakeCollector:
    return FakeCollector()


@pytest.fixture
def outbox(collector: FakeCollector, clock: FakeClock) -> InventoryOutbox:
    return InventoryOutbox(collector, clock)  # type: ignore[arg-type]  # a collector's outside


async def test_after_hello_only_what_changed_is_sent(
    outbox: InventoryOutbox, collector: FakeCollector
) -> None:
    assert outbox.checksum() == snapshot("a").checksum
    collector.becomes(snapshot("a", "b"))
    message = await outbox.next_message()
    assert message.inventory_delta.base_checksum == snapshot("a").checksum
    assert [o.name for o in message.inventory_delta.added] == ["b"]


async def test_a_relay_that_asks_gets_everything(outbox: InventoryOutbox) -> None:
    outbox.checksum()
    outbox.resync()
    message = await outbox.next_message()
    assert message.WhichOneof("body") == "inventory_full"
    assert message.inventory_full.checksum == snapshot("a").checksum


async def test_before_the_first_list_nothing_is_claimed(
    outbox: InventoryOutbox, collector: FakeCollector
) -> None:
    collector.complete = False
    assert outbox.checksum() == ""


async def test_a_large_difference_is_sent_as_the_whole(
    outbox: InventoryOutbox, collector: FakeCollector
) -> None:
    outbox.checksum()
    collector.becomes(snapshot(*(f"namespace-{i:060}" for i in range(5000))))
    first = await outbox.next_message()
    messages = [first, *outbox._queue]
    assert all(m.WhichOneof("body") == "inventory_full" for m in messages)
    assert all(m.ByteSize() <= INVENTORY_CHUNK_BYTES for m in messages)
    assert [m.inventory_full.last for m in messages] == [False] * (len(messages) - 1) + [True]


async def test_a_new_stream_forgets_what_the_old_one_did_not_send(
    outbox: InventoryOutbox, collector: FakeCollector
) -> None:
    outbox.checksum()
    collector.becomes(snapshot(*(f"namespace-{i:060}" for i in range(5000))))
    await outbox.next_message()
    outbox.begin_session()
    outbox.resync()
    assert isinstance(await outbox.next_message(), pb.AgentMessage)
    assert outbox._queue[-1].inventory_full.last
