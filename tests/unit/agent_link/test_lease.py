from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.errors import KubeAlreadyExists, KubeConflict, KubeNotFound, KubeUnreachable
from agent.lease.elector import EXIT_LEASE_LOST, Elector
from agent.lease.record import LeaseRecord, lease_body
from tests.unit.agent_link.conftest import NOW, FakeClock

SECONDS = 15.0


class OneLease:
    """An API server that has one Lease, with optimistic locking, and can be away."""

    def __init__(self) -> None:
        self.object: dict[str, Any] | None = None
        self.version = 0
        self.away = False

    async def resource(self, api_version: str, kind: str) -> str:
        return f"{api_version}/{kind}"

    async def get(self, resource: str, name: str, namespace: str) -> dict[str, Any]:
        self._answer()
        if self.object is None:
            raise KubeNotFound("no lease", status=404)
        return self.object

    async def create(self, resource: str, body: dict[str, Any]) -> dict[str, Any]:
        self._answer()
        if self.object is not None:
            raise KubeAlreadyExists("there is one", status=409)
        self._store(body)
        assert self.object is not None
        return self.object

    async def replace(self, resource: str, body: dict[str, Any]) -> None:
        self._answer()
        if body["metadata"]["resourceVersion"] != str(self.version):
            raise KubeConflict("changed meanwhile", status=409)
        self._store(body)

    @property
    def holder(self) -> str:
        return "" if self.object is None else LeaseRecord.read(self.object).holder

    def _answer(self) -> None:
        if self.away:
            raise KubeUnreachable("away")

    def _store(self, body: dict[str, Any]) -> None:
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        self.object = {**body, "metadata": metadata}


class RealSleepClock(FakeClock):
    """Fake time that lets other tasks run while it passes."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.sleep(0)


async def never_led() -> bool:
    return False


def elector(lease: OneLease, clock: FakeClock, name: str, exits: list[int]) -> Elector:
    return Elector(
        lease,  # type: ignore[arg-type]  # what of KubeClient the elector uses
        "arcbridge-system",
        name,
        SECONDS,
        clock,
        on_leading=lambda _: None,
        was_led=never_led,
        exit_at_once=exits.append,
    )


@pytest.fixture
def lease() -> OneLease:
    return OneLease()


@pytest.fixture
def clock() -> RealSleepClock:
    return RealSleepClock()


async def test_the_first_takes_the_lease_and_the_second_does_not(
    lease: OneLease, clock: FakeClock
) -> None:
    first, second = elector(lease, clock, "a", []), elector(lease, clock, "b", [])
    assert await first._try()
    assert not await second._try()
    assert lease.holder == "a"


async def test_a_silent_holder_is_followed_after_its_lease_and_not_before(
    lease: OneLease, clock: FakeClock
) -> None:
    first, second = elector(lease, clock, "a", []), elector(lease, clock, "b", [])
    await first._try()
    assert not await second._try()
    clock.advance(SECONDS - 1)
    assert not await second._try()
    clock.advance(1)
    assert await second._try()
    assert LeaseRecord.read(lease.object or {}).transitions == 1


async def give_back(holder: Elector) -> None:
    """As a holder does that stops."""
    holder._renewed_at = None
    await holder._release()


async def test_terms_tell_whether_another_led_meanwhile(lease: OneLease, clock: FakeClock) -> None:
    first, second = elector(lease, clock, "a", []), elector(lease, clock, "b", [])
    await first._try()
    await first._try()
    assert first.term.number == 0
    await give_back(first)
    await first._try()
    assert first.term.number == 1
    await give_back(first)
    await second._try()
    await give_back(second)
    await first._try()
    assert (second.term.number, first.term.number) == (2, 3)


async def test_a_holder_that_renews_is_never_followed(lease: OneLease, clock: FakeClock) -> None:
    first, second = elector(lease, clock, "a", []), elector(lease, clock, "b", [])
    for _ in range(20):
        assert await first._try()
        assert not await second._try()
        clock.advance(SECONDS / 3)


async def test_a_restarted_process_takes_its_own_lease_at_once(
    lease: OneLease, clock: FakeClock
) -> None:
    await elector(lease, clock, "a", [])._try()
    assert await elector(lease, clock, "a", [])._try()


async def test_work_ends_and_the_lease_is_released_when_the_process_stops(
    lease: OneLease, clock: FakeClock
) -> None:
    ended = asyncio.Event()

    async def lead() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(elector(lease, clock, "a", []).run(lead))
    while lease.holder != "a":
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert ended.is_set()
    assert lease.holder == ""


async def test_what_leading_raises_ends_the_election(lease: OneLease, clock: FakeClock) -> None:
    async def lead() -> None:
        raise KubeUnreachable("gone")

    with pytest.raises(KubeUnreachable):
        await elector(lease, clock, "a", []).run(lead)


async def test_waking_after_the_lease_ends_the_process(lease: OneLease, clock: FakeClock) -> None:
    exits: list[int] = []
    paused = elector(lease, clock, "a", exits)
    await paused._try()
    clock.advance(SECONDS - 1)
    paused.check_after_pause()
    assert exits == []
    clock.advance(2)
    paused.check_after_pause()
    assert exits == [EXIT_LEASE_LOST]


async def test_one_that_does_not_lead_survives_any_pause(lease: OneLease, clock: FakeClock) -> None:
    exits: list[int] = []
    clock.advance(1000)
    elector(lease, clock, "a", exits).check_after_pause()
    assert exits == []


def test_a_lease_without_a_holder_is_free() -> None:
    record = LeaseRecord.read({"metadata": {"resourceVersion": "1"}, "spec": {}})
    assert record.may_be_taken("anyone", 0.0)


def test_renewing_keeps_the_number_of_transitions() -> None:
    record = LeaseRecord("a", SECONDS, 3, "uid", "7")
    renewed = lease_body("n", "s", holder="a", seconds=15, now=NOW, before=record, taken=False)
    assert renewed["spec"]["leaseTransitions"] == 3
    assert renewed["metadata"]["resourceVersion"] == "7"
    assert "acquireTime" not in renewed["spec"]
