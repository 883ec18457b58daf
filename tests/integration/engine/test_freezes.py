"""Freezes and windows over real Postgres and Redis."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.contract.errors import ErrorCode
from shared.contract.freeze import FreezeKind, FreezeOverride, FreezeScope, FreezeSpec
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import RollbackRequest, Rollout
from shared.contract.states import Role, RolloutState
from shared.domain.errors import ArcBridgeError
from shared.services import freeze_override, freezes, pacer, publish, rollback, rollouts
from shared.services.caller import Caller
from tests.integration.engine.fleet import OPERATOR, TENANT, Fleet, manifest

RESPONDER = Caller(actor="person:night", tenant=TENANT, roles=frozenset({Role.RESPONDER}))
STOP = FreezeSpec(scope=FreezeScope.GLOBAL, reason="end of the year")


async def published(fleet: Fleet, version: str = "1.0.0", **strategy: Any) -> UUID:
    made = await publish.publish(fleet.plane, OPERATOR, manifest(version=version, rollout=strategy))
    assert made.rollout_id is not None
    return made.rollout_id


async def put(fleet: Fleet, name: str, spec: FreezeSpec) -> None:
    await freezes.put(fleet.plane, OPERATOR, name, spec, None)


async def read(fleet: Fleet, rollout_id: UUID) -> Rollout:
    return await rollouts.get(fleet.plane, OPERATOR, rollout_id)


async def test_a_global_freeze_holds_every_rollout_until_it_is_deleted(fleet: Fleet) -> None:
    fleet.connect("a")
    await put(fleet, "year-end", STOP)
    made = await published(fleet)
    await fleet.run(3)
    held = await read(fleet, made)
    assert held.waiting_for is not None
    assert held.waiting_for.reason is ReasonCode.FREEZE_ACTIVE
    assert "year-end" in held.waiting_for.message
    assert not fleet.assignments()
    await freezes.delete(fleet.plane, OPERATOR, "year-end", None)
    await fleet.run()
    assert fleet.assignments() == {"a": (1, False)}
    told = fleet.sql("select action, actor from events where subject = %s", "freeze/year-end")
    assert [row["action"] for row in told] == ["freeze.set", "freeze.delete"]


async def test_a_named_window_holds_only_the_rollouts_that_name_it(fleet: Fleet) -> None:
    fleet.connect("a")
    opens = fleet.plane.clock().replace(microsecond=0) + timedelta(hours=2)
    window = FreezeSpec(kind=FreezeKind.ALLOW, starts_at=opens)
    await put(fleet, "later", window)
    made = await published(fleet, windows=["later"])
    other = await publish.publish(fleet.plane, OPERATOR, manifest("other"))
    await fleet.run(5)
    waiting = (await read(fleet, made)).waiting_for
    assert waiting is not None
    assert (waiting.reason, waiting.until) == (ReasonCode.WINDOW_CLOSED, opens)
    assert other.rollout_id is not None
    assert (await read(fleet, other.rollout_id)).state is RolloutState.SUCCEEDED
    with pytest.raises(ArcBridgeError) as caught:
        await freezes.delete(fleet.plane, OPERATOR, "later", None)
    assert caught.value.code is ErrorCode.CONFLICT
    fleet.plane.clock.advance(hours=2)
    await fleet.run()
    assert (await read(fleet, made)).state is RolloutState.SUCCEEDED


async def test_a_freeze_of_some_extensions_leaves_the_others_alone(fleet: Fleet) -> None:
    fleet.connect("a")
    spec = FreezeSpec(scope=FreezeScope.GLOBAL, extensions=("database",))
    await put(fleet, "database", spec)
    made = await published(fleet)
    await fleet.run()
    assert (await read(fleet, made)).state is RolloutState.SUCCEEDED


async def test_a_rollback_is_not_held(fleet: Fleet) -> None:
    fleet.connect("a")
    for version in ("1.0.0", "2.0.0"):
        await published(fleet, version)
        await fleet.run()
    await put(fleet, "year-end", STOP)
    await rollback.rollback(fleet.plane, OPERATOR, "app", RollbackRequest())
    await fleet.run()
    assert fleet.assignments() == {"a": (1, False)}


async def test_an_override_lets_one_rollout_through_and_expires(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    await put(fleet, "year-end", STOP)
    stage = {"name": "all", "maxConcurrent": 1, "soak": "0s"}
    made = await published(fleet, stages=[stage])
    until = fleet.plane.clock() + timedelta(hours=1)
    fleet.outcome = lambda cluster, digest: None
    how = FreezeOverride(reason="the fix for the outage", expires_at=until)
    answer = await freeze_override.override(fleet.plane, RESPONDER, made, None, how)
    assert answer.freeze_override_until == until
    assert set(fleet.assignments()) == {"a"}
    fleet.plane.clock.advance(hours=1)
    fleet.outcome = Fleet.outcome
    await fleet.run(5)
    held = await read(fleet, made)
    assert set(fleet.assignments()) == {"a"}, "the second one waits again"
    assert held.waiting_for is not None
    assert held.waiting_for.reason is ReasonCode.FREEZE_ACTIVE
    told = fleet.sql("select actor, message from events where action = %s",
                     "rollout.override_freeze")  # fmt: skip
    assert told == [{"actor": "person:night", "message": "the fix for the outage"}]


@pytest.mark.parametrize("hours", [-1, 25])
async def test_an_override_is_for_a_while_only(fleet: Fleet, hours: int) -> None:
    fleet.connect("a")
    await put(fleet, "year-end", STOP)
    made = await published(fleet)
    until: datetime = fleet.plane.clock() + timedelta(hours=hours)
    how = FreezeOverride(reason="please", expires_at=until)
    with pytest.raises(ArcBridgeError) as caught:
        await freeze_override.override(fleet.plane, RESPONDER, made, None, how)
    assert caught.value.code is ErrorCode.INVALID_REQUEST


async def test_of_several_overrides_that_saw_the_same_version_one_counts(fleet: Fleet) -> None:
    fleet.connect("a")
    await put(fleet, "year-end", STOP)
    made = await published(fleet)
    etag = (await read(fleet, made)).etag
    fleet.outcome = lambda cluster, digest: None
    now = fleet.plane.clock()
    hows = [FreezeOverride(reason="x", expires_at=now + timedelta(hours=h)) for h in (1, 2, 3)]
    answers = await asyncio.gather(
        *(freeze_override.override(fleet.plane, RESPONDER, made, etag, how) for how in hows),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, ArcBridgeError)]
    assert [refusal.code for refusal in refused] == [ErrorCode.PRECONDITION_FAILED] * 2


async def test_what_cannot_be_meant_is_refused(fleet: Fleet) -> None:
    fleet.connect("a")
    with pytest.raises(ArcBridgeError, match="no IANA time zone"):
        await put(fleet, "x", FreezeSpec(time_zone="Europe/Atlantis"))
    with pytest.raises(ArcBridgeError, match="no freeze or window nights"):
        await published(fleet, windows=["nights"])
    await put(fleet, "x", FreezeSpec())
    with pytest.raises(ArcBridgeError) as caught:
        await freezes.put(fleet.plane, OPERATOR, "x", STOP, "7")
    assert caught.value.code is ErrorCode.PRECONDITION_FAILED


async def test_once_a_freeze_is_answered_for_nothing_more_is_released(fleet: Fleet) -> None:
    """Pacers at work while the freeze is set: what they release, they release before."""
    fleet.connect(*(f"c{n}" for n in range(30)))
    fleet.outcome = lambda cluster, digest: None
    stage = {"name": "all", "maxConcurrent": "100%", "soak": "0s"}
    made = await published(fleet, stages=[stage], pace={"perMinute": 600, "burst": 1})

    async def set_freeze() -> int:
        await asyncio.sleep(0.3)
        await put(fleet, "now", STOP)
        return len(fleet.assignments())

    async def pace() -> None:
        for _ in range(12):
            await pacer.tick_rollout(fleet.plane, TENANT, made)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        released = group.create_task(set_freeze())
        for _ in range(2):
            group.create_task(pace())
    assert 0 < len(fleet.assignments()) < 30
    assert len(fleet.assignments()) == released.result()
