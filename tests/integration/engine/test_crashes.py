"""Crashes at every commit, lost replies, and two pacers at once: the end state stays the same."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import psycopg
import pytest

from shared.contract.errors import ErrorCode
from shared.contract.states import ExtensionPhase
from shared.contract.status import StatusBatch
from shared.domain.errors import ArcBridgeError
from shared.services import failpoints, pacer, publish, status
from shared.services.failpoints import Failpoint
from tests.integration.engine.fleet import OPERATOR, TENANT, Fleet, manifest

CANARY = {
    "stages": [
        {"name": "canary", "maxTargets": 1, "maxConcurrent": 1, "soak": "0s"},
        {"name": "broad", "maxConcurrent": "50%", "soak": "0s"},
    ],
    "maxFailures": 0,
}
PLACES = [
    f"{use_case}.{moment}_commit=raise@{time}"
    for use_case, times in (("publish", (1,)), ("pacer", (1, 3, 6)), ("status", (1, 3)))
    for moment in ("before", "after")
    for time in times
]


async def publish_until_it_is_stored(fleet: Fleet, version: str) -> None:
    """As a client that repeats a call whose reply it did not get."""
    for _ in range(3):
        try:
            await publish.publish(fleet.plane, OPERATOR, manifest(version=version, rollout=CANARY))
        except Failpoint:
            continue
        return


async def run_through_crashes(fleet: Fleet) -> None:
    for _ in range(60):
        try:
            await pacer.tick(fleet.plane)
            await fleet.answer()
        except (Failpoint, BaseExceptionGroup):
            fleet.answered.clear()  # a reply was lost: the agents say it again
            continue
        if all(row["state"] in ("Succeeded", "RolledBack") for row in fleet.rollouts()):
            return


@pytest.mark.parametrize("place", PLACES)
async def test_crash_at_a_commit_leads_to_the_same_end(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    fleet.connect("a", "b", "c", "d")
    await publish.publish(fleet.plane, OPERATOR, manifest(rollout=CANARY))
    await fleet.run()
    good = fleet.sql("select distinct spec_digest d from assignments")[0]["d"]
    fleet.outcome = lambda cluster, held: (
        ExtensionPhase.FAILED if cluster == "c" and held != good else ExtensionPhase.READY
    )
    failpoints.reset()
    monkeypatch.setenv(failpoints.VARIABLE, place)
    await publish_until_it_is_stored(fleet, "2.0.0")
    await run_through_crashes(fleet)
    assert fleet.assignments() == dict.fromkeys("abcd", (1, False))
    states = fleet.sql("select kind, state from rollouts order by rollout_id")
    assert [tuple(row.values()) for row in states] == [
        ("publish", "Succeeded"),
        ("publish", "RolledBack"),
        ("rollback", "Succeeded"),
    ]
    assert counters_fit_the_targets(fleet)


def counters_fit_the_targets(fleet: Fleet) -> bool:
    """The stages' counters are what counting the targets gives."""
    return not fleet.sql(
        """
        select 1 from rollout_stages s
        left join lateral (
            select count(*) filter (where state = 'ToApply') as to_apply,
                   count(*) filter (where state in ('Released','Applying','Verifying'))
                       as in_flight,
                   count(*) filter (where state = 'Succeeded') as succeeded,
                   count(*) filter (where state in ('Failed','TimedOut')) as failed,
                   count(*) filter (where state = 'Skipped') as skipped
            from rollout_targets t
            where t.tenant_id = s.tenant_id and t.rollout_id = s.rollout_id and t.stage = s.stage
        ) t on true
        where (s.to_apply, s.in_flight, s.succeeded, s.failed, s.skipped)
              <> (t.to_apply, t.in_flight, t.succeeded, t.failed, t.skipped)
        """
    )


async def test_many_pacers_at_once_release_no_target_twice(fleet: Fleet) -> None:
    names = [f"c{n:02}" for n in range(40)]
    fleet.connect(*names)
    fleet.outcome = lambda cluster, held: None
    strategy = {
        "stages": [{"name": "all", "maxConcurrent": 7, "soak": "0s"}],
        "pace": {"perMinute": 60_000, "burst": 100},
    }
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout=strategy))
    await asyncio.gather(
        *(pacer.tick(fleet.plane) for _ in range(3)),
        *(pacer.tick_rollout(fleet.plane, TENANT, made.rollout_id) for _ in range(5)),
    )
    assert sorted(fleet.targets(made.rollout_id).values()).count("Released") == 7
    fleet.outcome = lambda cluster, held: ExtensionPhase.READY
    for _ in range(30):
        await asyncio.gather(fleet.answer(), pacer.tick(fleet.plane), pacer.tick(fleet.plane))
        in_flight = fleet.sql("select max(in_flight) n from rollout_stages")
        assert in_flight[0]["n"] <= 7
    assert set(fleet.targets(made.rollout_id).values()) == {"Succeeded"}
    assert fleet.sql("select max(generation) g from assignments") == [{"g": 1}]
    assert counters_fit_the_targets(fleet)


async def test_pacer_that_waited_decides_at_the_time_when_its_turn_came(fleet: Fleet) -> None:
    (cluster,) = fleet.connect("a")
    fleet.outcome = lambda cluster, held: None
    made = await publish.publish(fleet.plane, OPERATOR, manifest())
    fleet.outcome = lambda cluster, held: ExtensionPhase.READY
    with psycopg.connect(fleet.owner_url) as other_pacer:
        other_pacer.execute("select 1 from rollouts for no key update")
        answering = asyncio.create_task(fleet.answer())
        while not fleet.sql("select 1 from pg_locks where not granted"):
            await asyncio.sleep(0.01)
        fleet.plane.clock.advance(seconds=30)
        its_turn = fleet.plane.clock()
        other_pacer.commit()
        await answering
    finished = fleet.sql("select finished_at from rollout_targets where cluster_id = %s", cluster)
    assert fleet.targets(made.rollout_id) == {"a": "Succeeded"}
    assert finished[0]["finished_at"] >= its_turn


async def test_replayed_and_late_reports_change_nothing(fleet: Fleet) -> None:
    fleet.connect("a")
    fleet.outcome = lambda cluster, held: None
    strategy = {"stages": [{"name": "all", "soak": "10m"}]}
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout=strategy))
    row = fleet.sql("select * from assignments")[0]
    applying = fleet.event(row, ExtensionPhase.APPLYING)
    ready = fleet.event(row, ExtensionPhase.READY)
    agent = fleet.agent(row["cluster_id"])
    for batch in ((applying,), (ready, applying), (applying,), (ready,)):
        ack = await status.ingest(fleet.plane, agent, StatusBatch(session_epoch=1, events=batch))
        assert ack.durable_sequence == max(event.sequence for event in batch)
    stored = fleet.sql("select phase, sequence from assignments")
    assert stored == [{"phase": "Ready", "sequence": ready.sequence}]
    assert len(fleet.sql("select 1 from status_events")) == 2
    assert fleet.targets(made.rollout_id) == {"a": "Verifying"}


async def test_report_of_an_older_session_or_another_release_does_not_count(fleet: Fleet) -> None:
    fleet.connect("a")
    fleet.outcome = lambda cluster, held: None
    made = await publish.publish(fleet.plane, OPERATOR, manifest())
    row = fleet.sql("select * from assignments")[0]
    fleet.sql("update sessions set epoch = 2")
    with pytest.raises(ArcBridgeError) as caught:
        await fleet.report(row, ExtensionPhase.READY, epoch=1)
    assert caught.value.code is ErrorCode.STALE_EPOCH
    for wrong in (
        {"generation": row["generation"] + 1},
        {"spec_digest": "sha256:" + "0" * 64},
        {"rollout_id": row["cluster_id"]},
    ):
        await fleet.report({**row, **wrong}, ExtensionPhase.READY, epoch=2)
        assert fleet.targets(made.rollout_id) == {"a": "Released"}
    await fleet.report(row, ExtensionPhase.READY, epoch=2)
    assert fleet.targets(made.rollout_id) == {"a": "Succeeded"}


async def test_lost_redis_slows_releases_down_and_lets_none_too_many_out(fleet: Fleet) -> None:
    fleet.connect(*(f"c{n}" for n in range(20)))
    fleet.outcome = lambda cluster, held: None
    strategy = {
        "stages": [{"name": "all", "maxConcurrent": "100%", "soak": "0s"}],
        "pace": {"perMinute": 1, "burst": 5},
    }
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout=strategy))
    assert list(fleet.targets(made.rollout_id).values()).count("Released") == 5
    await fleet.plane.redis.flushall()
    fleet.plane.clock.advance(minutes=5)
    await pacer.tick(fleet.plane)
    assert list(fleet.targets(made.rollout_id).values()).count("Released") == 5
    waiting = fleet.sql("select waiting_for from rollouts")[0]["waiting_for"]
    assert waiting["reason"] == "Paced"


def test_failpoint_kills_the_process_it_is_in() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from shared.services.failpoints import hit; hit('a'); hit('a')"],
        env={**os.environ, failpoints.VARIABLE: "b=raise,a=kill@2"},
        timeout=30,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
