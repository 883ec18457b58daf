"""A new cluster waits for an admin: nothing is issued, placed or readable before."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from shared.contract.errors import ErrorCode
from shared.contract.joining_policy import JoiningPolicySpec
from shared.contract.registration import EnrolmentDecision, EnrolmentState, RegisterResponse
from shared.domain.errors import ArcBridgeError
from shared.services import clusters, enrolments, events, joining_policies
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


EVERYONE = JoiningPolicySpec(approval=True, reason="audit of March")
NOBODY = JoiningPolicySpec()


async def test_a_tenants_policy_has_every_cluster_wait_whatever_its_token_says(
    control_plane: ControlPlane,
) -> None:
    before = await new_token(control_plane)
    await joining_policies.put(control_plane, admin(), EVERYONE, None)
    for name, token in (("eu-1", before), ("eu-2", await new_token(control_plane))):
        cluster = Waiting(control_plane, name, token)
        assert await code_of(cluster.asks()) is ErrorCode.PENDING_APPROVAL
        await decide(control_plane, name, EnrolmentState.APPROVED, key_pin=cluster.pin)
        assert (await cluster.asks()).cluster_name == name
    # Another tenant's clusters are none of its business.
    assert (await join(control_plane, "eu-1", tenant="other")).tenant == "other"


async def test_a_known_cluster_that_joins_again_waits_by_the_policy_too(
    control_plane: ControlPlane,
) -> None:
    first = await join(control_plane, "eu-1")
    await joining_policies.put(control_plane, admin(), EVERYONE, None)
    back = Waiting(control_plane, "eu-1", await new_token(control_plane, name="eu-1"))
    assert await code_of(back.asks()) is ErrorCode.PENDING_APPROVAL
    await decide(control_plane, "eu-1", EnrolmentState.APPROVED)
    assert (await back.asks()).cluster_id == first.cluster_id


async def test_who_waits_goes_on_waiting_when_the_policy_is_lifted_and_new_ones_do_not(
    control_plane: ControlPlane,
) -> None:
    await joining_policies.put(control_plane, admin(), EVERYONE, None)
    waiting = Waiting(control_plane, "eu-1", await new_token(control_plane))
    assert await code_of(waiting.asks()) is ErrorCode.PENDING_APPROVAL
    await joining_policies.put(control_plane, admin(), NOBODY, None)
    assert await code_of(waiting.asks()) is ErrorCode.PENDING_APPROVAL
    assert (await join(control_plane, "eu-2")).cluster_name == "eu-2"
    own = Waiting(control_plane, "eu-3", await new_token(control_plane, approval=True))
    assert await code_of(own.asks()) is ErrorCode.PENDING_APPROVAL


async def test_an_answer_that_was_lost_is_given_again_after_the_policy_was_set(
    control_plane: ControlPlane,
) -> None:
    key, token = new_key(), await new_token(control_plane)
    answer = await join(control_plane, "eu-1", token=token, key=key)
    await joining_policies.put(control_plane, admin(), EVERYONE, None)
    assert (await join(control_plane, "eu-1", token=token, key=key)).serial == answer.serial


async def test_the_policy_is_set_once_told_in_the_trail_and_checked_against_its_version(
    control_plane: ControlPlane,
) -> None:
    nothing = await joining_policies.get(control_plane, admin())
    assert (nothing.approval, nothing.etag) == (False, "0")
    stored = await joining_policies.put(control_plane, admin(), EVERYONE, nothing.etag)
    again = await joining_policies.put(control_plane, admin(), EVERYONE, None)
    assert (stored.approval, stored.etag, again.etag) == (True, "1", "1")
    stale = joining_policies.put(control_plane, admin(), NOBODY, "0")
    assert await code_of(stale) is ErrorCode.PRECONDITION_FAILED
    trail = (await events.list_events(control_plane, admin())).items
    [told] = [each for each in trail if each.action == "joining-policy.set"]
    assert told.message == EVERYONE.reason
    assert told.data == {"before": {"approval": False}, "after": {"approval": True}}
