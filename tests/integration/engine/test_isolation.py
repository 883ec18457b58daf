"""What goes wrong with one rollout, or goes on without end, is not at the cost of another."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from shared.contract.states import ExtensionPhase
from shared.services import nudge, pacer, publish
from tests.integration.engine.fleet import OPERATOR, TENANT, Fleet, manifest

UNREADABLE = '{"of": "another release"}'


async def test_a_rollout_that_cannot_be_read_does_not_stop_the_others(fleet: Fleet) -> None:
    fleet.connect("a")
    fleet.outcome = lambda cluster, held: None
    broken = await publish.publish(fleet.plane, OPERATOR, manifest("broken"))
    whole = await publish.publish(fleet.plane, OPERATOR, manifest("whole"))
    # Due again from the start, with nothing released yet; the broken one first.
    fleet.sql("update rollouts set plan_after = created_at")
    fleet.sql(
        "update rollouts set strategy = %s where rollout_id = %s", UNREADABLE, broken.rollout_id
    )
    fleet.outcome = lambda cluster, held: ExtensionPhase.READY
    await fleet.answer()
    for _ in range(3):
        with pytest.raises(ExceptionGroup, match="parts of the run failed"):
            await pacer.tick(fleet.plane)
        await fleet.answer()
        fleet.sql("update rollouts set plan_after = created_at")
    states = {row["rollout_id"]: row["state"] for row in fleet.rollouts()}
    assert states == {broken.rollout_id: "Running", whole.rollout_id: "Succeeded"}


async def test_a_revision_that_cannot_be_read_does_not_stop_rollouts_of_others(
    fleet: Fleet,
) -> None:
    fleet.connect("a")
    await publish.publish(fleet.plane, OPERATOR, manifest("broken"))
    await fleet.run()
    fleet.sql("update revisions set spec = %s", UNREADABLE)
    (late,) = fleet.connect("late")
    fleet.sql("insert into reconsiderations (tenant_id, extension, cluster_id) values (%s, %s, %s)",
              TENANT, "broken", late)  # fmt: skip
    whole = await publish.publish(fleet.plane, OPERATOR, manifest("whole"))
    await fleet.answer()
    fleet.sql("update rollouts set plan_after = created_at where state = 'Running'")
    with pytest.raises(ExceptionGroup):
        await pacer.tick(fleet.plane)
    state = {row["rollout_id"]: row["planned_at"] > row["created_at"] for row in fleet.rollouts()}
    assert state[whole.rollout_id]
    assert fleet.targets(whole.rollout_id)["a"] == "Succeeded"


async def test_whoever_looks_for_others_leaves_it_to_the_tick_when_they_keep_asking(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.connect("a")
    fleet.outcome = lambda cluster, held: None
    made = await publish.publish(fleet.plane, OPERATOR, manifest())
    assert made.rollout_id is not None
    fleet.sql("update rollouts set plan_after = now() + interval '1 day'")
    looks = 0

    async def look(plane: Any, tenant: str, rollout: UUID, **_: Any) -> None:
        nonlocal looks
        looks += 1
        await nudge.nudge(plane, tenant, [rollout])  # another report comes in meanwhile

    monkeypatch.setattr(pacer, "tick_rollout", look)
    async with asyncio.timeout(30):
        await nudge.nudge(fleet.plane, TENANT, [made.rollout_id])
    assert looks == nudge.LOOKS
    (row,) = fleet.rollouts()
    assert row["plan_after"] <= fleet.plane.clock(), "the next tick finds it due"


async def test_a_soak_begins_when_its_report_counts_not_when_it_began_to_wait_for_a_lock(
    fleet: Fleet,
) -> None:
    (cluster,) = fleet.connect("a")
    fleet.outcome = lambda cluster, held: None
    await publish.publish(fleet.plane, OPERATOR, manifest())
    (row,) = fleet.sql("select * from assignments")
    async with await psycopg.AsyncConnection.connect(fleet.owner_url) as holder:
        await holder.execute(
            "select 1 from assignments where cluster_id = %s for update", (cluster,)
        )
        reporting = asyncio.create_task(fleet.report(row, ExtensionPhase.READY))
        async with asyncio.timeout(30):
            while not fleet.sql("select 1 from pg_locks where not granted"):
                await asyncio.sleep(0.02)
        fleet.plane.clock.advance(hours=1)
        await holder.rollback()
        await reporting
    (ready,) = fleet.sql("select ready_since from assignments")
    assert fleet.plane.clock() - ready["ready_since"] < timedelta(minutes=1)
