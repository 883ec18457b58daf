"""A new cluster waits for an admin: nothing is issued, placed or readable before."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from shared.contract.errors import ErrorCode
from shared.contract.registration import EnrolmentDecision, EnrolmentState, RegisterResponse
from shared.domain.errors import ArcBridgeError
from shared.services import clusters, enrolments, events
from shared.services.control_plane import ControlPlane
from tests.integration.conftest import Clock
from tests.integration.services.joining import admin, join, new_key, new_token

YES = EnrolmentDecision(reason="known to us")


async def code_of(call: Any) -> ErrorCode:
    with pytest.raises(ArcBridgeError) as caught:
        await call
    return caught.value.code


async def decide(cp: ControlPlane, name: str, state: EnrolmentState, **decision: str) -> None:
    await enrolments.decide(cp, admin(), name, state, EnrolmentDecision(**decision))


def rows(owner_url: str, table: str) -> int:
    with psycopg.connect(owner_url) as connection:
        found = connection.execute(f"select count(*) from {table}".encode()).fetchone()  # noqa: S608 - a table of the test's
    assert found is not None
    return int(found[0])


class Waiting:
    """A cluster that asked to join with a token that needs approval."""

    def __init__(self, cp: ControlPlane, name: str, token: str) -> None:
        self.cp = cp
        self.name = name
        self.token = token
        self.key = new_key()

    async def asks(self, key: Any = None) -> RegisterResponse:
        return await join(
            self.cp, self.name, token=self.token, key=key or self.key, labels={"env": "prod"}
        )

    @property
    def pin(self) -> str:
        return enrolments.key_pin(self.key.public_key())


@pytest.fixture
async def waiting(control_plane: ControlPlane) -> Waiting:
    token = await new_token(control_plane, approval=True, labels={"ring": "edge"})
    waiting = Waiting(control_plane, "eu-1", token)
    assert await code_of(waiting.asks()) is ErrorCode.PENDING_APPROVAL
    return waiting


async def test_nothing_is_issued_or_readable_before_approval(
    waiting: Waiting, owner_postgres_url: str
) -> None:
    for _ in range(3):
        assert await code_of(waiting.asks()) is ErrorCode.PENDING_APPROVAL
    for table in ("certificates", "clusters", "sessions", "reconsiderations"):
        assert rows(owner_postgres_url, table) == 0
    assert await code_of(clusters.get(waiting.cp, admin(), "eu-1")) is ErrorCode.NOT_FOUND
    page = await enrolments.list_enrolments(waiting.cp, admin(), state=EnrolmentState.PENDING)
    (asked,) = page.items
    assert (asked.name, asked.key_pin) == ("eu-1", waiting.pin)
    assert asked.labels == {"env": "prod", "ring": "edge"}


async def test_an_approved_cluster_joins_when_it_asks_again_with_its_key(waiting: Waiting) -> None:
    await decide(waiting.cp, "eu-1", EnrolmentState.APPROVED, key_pin=waiting.pin)
    stolen = waiting.asks(key=new_key())
    assert await code_of(stolen) is ErrorCode.REGISTRATION_REFUSED
    answer = await waiting.asks()
    again = await waiting.asks()
    assert (again.serial, again.cluster_id) == (answer.serial, answer.cluster_id)
    cluster = await clusters.get(waiting.cp, admin(), "eu-1")
    assert cluster.id == answer.cluster_id
    assert cluster.labels == {"env": "prod", "ring": "edge"}
    trail = await events.list_events(waiting.cp, admin())
    actions = [each.action for each in trail.items]
    assert actions[:3] == ["cluster.register", "enrolment.approve", "enrolment.request"]


async def test_a_rejected_cluster_is_told_no_more_than_any_other(waiting: Waiting) -> None:
    await decide(waiting.cp, "eu-1", EnrolmentState.REJECTED, reason="nobody knows it")
    assert await code_of(waiting.asks()) is ErrorCode.REGISTRATION_REFUSED
    approve = decide(waiting.cp, "eu-1", EnrolmentState.APPROVED)
    assert await code_of(approve) is ErrorCode.CONFLICT
    # The name is free for one that asks with another token.
    other = Waiting(waiting.cp, "eu-1", await new_token(waiting.cp, approval=True))
    assert await code_of(other.asks()) is ErrorCode.PENDING_APPROVAL
    await decide(waiting.cp, "eu-1", EnrolmentState.APPROVED)
    assert (await other.asks()).cluster_name == "eu-1"


async def test_deciding_again_changes_nothing_and_another_key_is_not_decided_about(
    waiting: Waiting,
) -> None:
    wrong = decide(waiting.cp, "eu-1", EnrolmentState.APPROVED, key_pin=f"sha256:{'0' * 64}")
    assert await code_of(wrong) is ErrorCode.CONFLICT
    unknown = decide(waiting.cp, "us-9", EnrolmentState.APPROVED)
    assert await code_of(unknown) is ErrorCode.NOT_FOUND
    foreign = enrolments.decide(waiting.cp, admin("other"), "eu-1", EnrolmentState.APPROVED, YES)
    assert await code_of(foreign) is ErrorCode.NOT_FOUND
    first = await enrolments.decide(waiting.cp, admin(), "eu-1", EnrolmentState.APPROVED, YES)
    second = await enrolments.decide(waiting.cp, admin(), "eu-1", EnrolmentState.APPROVED, YES)
    assert first == second


async def test_one_name_waits_once_and_its_place_may_be_taken_meanwhile(waiting: Waiting) -> None:
    other = Waiting(waiting.cp, "eu-1", await new_token(waiting.cp, approval=True))
    assert await code_of(other.asks()) is ErrorCode.ALREADY_EXISTS
    await join(waiting.cp, "eu-1", token=await new_token(waiting.cp))
    await decide(waiting.cp, "eu-1", EnrolmentState.APPROVED)
    assert await code_of(waiting.asks()) is ErrorCode.ALREADY_EXISTS


async def test_a_request_that_nobody_decided_about_in_a_day_is_over(
    waiting: Waiting, clock: Clock
) -> None:
    clock.ahead = timedelta(hours=25)
    assert await code_of(waiting.asks()) is ErrorCode.REGISTRATION_REFUSED
    late = decide(waiting.cp, "eu-1", EnrolmentState.APPROVED)
    assert await code_of(late) is ErrorCode.NOT_FOUND
    assert (await enrolments.list_enrolments(waiting.cp, admin())).items == ()
    other = Waiting(waiting.cp, "eu-1", await new_token(waiting.cp, approval=True))
    assert await code_of(other.asks()) is ErrorCode.PENDING_APPROVAL


async def test_many_at_once_with_one_token_make_one_request(
    control_plane: ControlPlane, owner_postgres_url: str
) -> None:
    token = await new_token(control_plane, approval=True)
    tries = [Waiting(control_plane, "eu-1", token) for _ in range(8)]
    codes = await asyncio.gather(*(code_of(each.asks()) for each in tries))
    assert sorted(codes) == sorted(
        [ErrorCode.PENDING_APPROVAL, *[ErrorCode.REGISTRATION_REFUSED] * 7]
    )
    assert rows(owner_postgres_url, "enrolments") == 1


async def test_a_known_cluster_waits_too_and_keeps_its_identity(
    control_plane: ControlPlane,
) -> None:
    before = await join(control_plane, "eu-1")
    token = await new_token(control_plane, name="eu-1", approval=True)
    back = Waiting(control_plane, "eu-1", token)
    assert await code_of(back.asks()) is ErrorCode.PENDING_APPROVAL
    assert (await clusters.get(control_plane, admin(), "eu-1")).certificate is not None
    await decide(control_plane, "eu-1", EnrolmentState.APPROVED)
    assert (await back.asks()).cluster_id == before.cluster_id
