"""Whoever deletes the agent's Lease, a restore or a person, makes neither two leaders nor an old
journal count again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.credentials.secret import IDENTITY_SECRET
from agent.journal.journal import Journal
from agent.kube.client import KubeClient
from agent.lease.elector import LEASE_NAME, Elector
from agent.process import has_an_identity
from dev.kube.server import KubeServer

NAMESPACE = "default"


class MovedClock(SystemClock):
    """The real clock, some time later."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture
async def kube(tmp_path: Path) -> AsyncIterator[KubeClient]:
    async with KubeServer.start() as server:
        kubeconfig = server.add_cluster("one").write_kubeconfig(tmp_path / "kubeconfig.yaml")
        async with await KubeClient.connect(kubeconfig) as client:
            yield client


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


def elector(kube: KubeClient, clock: MovedClock, name: str) -> Elector:
    return Elector(
        kube,
        NAMESPACE,
        name,
        60.0,
        clock,
        on_leading=lambda _: None,
        was_led=has_an_identity(kube, NAMESPACE),
    )


async def delete_lease(kube: KubeClient) -> None:
    leases = await kube.resource("coordination.k8s.io/v1", "Lease")
    await kube.delete(leases, LEASE_NAME, NAMESPACE)


async def join(kube: KubeClient) -> None:
    """The cluster gets an identity, as it does from its first leader."""
    secrets = await kube.resource("v1", "Secret")
    meta = {"name": IDENTITY_SECRET, "namespace": NAMESPACE}
    await kube.create(
        secrets,
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"key.pem": "eA=="}},
    )


async def test_a_lease_that_is_deleted_stays_its_holder_s(
    kube: KubeClient, clock: MovedClock
) -> None:
    first, second, fresh = (elector(kube, clock, name) for name in "abc")
    assert await first._try(), "of a cluster that never had a leader the first one leads at once"
    await join(kube)
    assert not await second._try()
    await delete_lease(kube)
    assert not await second._try(), "the holder knows nothing of it yet, and is at work"
    assert not await fresh._try(), "nor may one lead that never saw the lease"
    assert await first._try()
    assert not await second._try()


async def test_a_lease_that_stays_away_is_free_after_its_time(
    kube: KubeClient, clock: MovedClock
) -> None:
    first, second = elector(kube, clock, "a"), elector(kube, clock, "b")
    assert await first._try()
    await join(kube)
    assert not await second._try()
    await delete_lease(kube)
    assert not await second._try()
    clock.ahead += 61
    assert await second._try()
    assert not await first._try(), "another one leads"
    assert first.lease_left_seconds <= 60 / 3, "it lets go within what its lease had left"


async def test_a_holder_whose_lease_another_one_had_meanwhile_begins_anew(
    kube: KubeClient, clock: MovedClock
) -> None:
    first, second = elector(kube, clock, "a"), elector(kube, clock, "b")
    assert await first._try()
    await delete_lease(kube)
    assert await second._try()
    await second._release()
    assert not await first._try(), "what it holds may be older than what the other one did"
    assert first.lease_left_seconds <= 60 / 3


async def test_a_journal_counts_no_more_where_another_led_on_a_new_lease(
    kube: KubeClient, clock: MovedClock, tmp_path: Path
) -> None:
    first, second = elector(kube, clock, "a"), elector(kube, clock, "b")
    assert await first._try()
    async with Journal.open(tmp_path, clock) as journal:
        await journal.begin_term(first.term)
        await journal.keep_epoch(3)
        await journal.acknowledge(7)
    await first._release()
    await delete_lease(kube)
    assert await second._try()
    await second._release()
    again = elector(kube, clock, "a")
    assert await again._try()
    async with Journal.open(tmp_path, clock) as journal:
        await journal.begin_term(again.term)
        assert journal.acknowledged == 0, "the other one led in between"
