"""An adaptive pace over real Postgres and Redis: what lowers it, what raises it, what is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import Rollout
from shared.contract.states import ExtensionPhase
from shared.services import apply_times, metrics, pacer, plan, publish, rollouts
from tests.integration.engine.fleet import OPERATOR, TENANT, Fleet, manifest

ALL = [{"name": "all", "maxConcurrent": "100%", "maxFailures": "50%", "soak": "0s"}]
ADAPTIVE = {"perMinute": 2, "burst": 10, "mode": "adaptive", "minPerMinute": 0.5}


async def started(fleet: Fleet, clusters: int = 20) -> UUID:
    """Ten are released, with the burst; the others wait for the pace. Agents say nothing yet."""
    fleet.connect(*(f"c{n:02}" for n in range(clusters)))
    fleet.outcome = lambda cluster, digest: None
    made = await publish.publish(
        fleet.plane, OPERATOR, manifest(rollout={"stages": ALL, "pace": ADAPTIVE})
    )
    assert made.rollout_id is not None
    return made.rollout_id


async def report(fleet: Fleet, cluster: str, phase: ExtensionPhase, **changes: Any) -> None:
    (row,) = fleet.sql("select * from assignments where cluster_id = %s", fleet.id_of(cluster))
    await fleet.report(row, phase, **changes)


async def read(fleet: Fleet, rollout_id: UUID) -> Rollout:
    return await rollouts.get(fleet.plane, OPERATOR, rollout_id)


def told(fleet: Fleet) -> list[tuple[str, float, float]]:
    rows = fleet.sql(
        "select reason, data from events where action = 'rollout.pace' order by sequence"
    )
    return [(r["reason"], r["data"]["fromPerMinute"], r["data"]["toPerMinute"]) for r in rows]


async def test_a_failure_halves_the_pace_and_success_raises_it_again(fleet: Fleet) -> None:
    made = await started(fleet)
    before = (await read(fleet, made)).pace
    assert before is not None
    assert (before.per_minute, before.reason) == (2.0, None)
    await report(fleet, "c00", ExtensionPhase.FAILED)
    lowered = await read(fleet, made)
    assert lowered.pace is not None
    assert (lowered.pace.per_minute, lowered.pace.reason) == (1.0, ReasonCode.SLOWED_BY_FAILURES)
    assert lowered.waiting_for is not None
    assert lowered.waiting_for.reason is ReasonCode.PACED
    assert "1 a minute (SlowedByFailures: from 2 to 1 a minute" in lowered.waiting_for.message
    fleet.plane.clock.advance(seconds=16)
    await report(fleet, "c01", ExtensionPhase.READY)
    raised = (await read(fleet, made)).pace
    assert raised is not None
    assert (raised.per_minute, raised.reason) == (1.2, ReasonCode.PACE_RAISED)
    assert told(fleet) == [("SlowedByFailures", 2, 1), ("PaceRaised", 1, 1.2)]


async def test_a_registry_that_gives_nothing_slows_the_rollout(fleet: Fleet) -> None:
    made = await started(fleet)
    for cluster in ("c00", "c01"):
        await report(fleet, cluster, ExtensionPhase.APPLYING, reason="ArtifactFailed")
    await pacer.tick_rollout(fleet.plane, TENANT, made)
    pace = (await read(fleet, made)).pace
    assert pace is not None
    assert (pace.per_minute, pace.reason) == (1.0, ReasonCode.SLOWED_BY_SOURCE)
    assert "2 of 10 targets in flight cannot get their artifact" in pace.message


async def test_a_control_plane_that_is_late_slows_itself(fleet: Fleet) -> None:
    made = await started(fleet)
    fleet.plane.clock.advance(minutes=3)
    await pacer.tick(fleet.plane)
    pace = (await read(fleet, made)).pace
    assert pace is not None
    assert (pace.per_minute, pace.reason) == (1.0, ReasonCode.SLOWED_BY_LAG)


async def test_slow_applies_are_measured_against_the_rollouts_own_best(fleet: Fleet) -> None:
    made = await started(fleet, clusters=30)
    for number in range(10):
        await report(fleet, f"c{number:02}", ExtensionPhase.READY)
    fleet.sql("update rollout_targets set state = 'Released', released_at = %s, generation = 1"
              " where state = 'ToApply'", fleet.plane.clock())  # fmt: skip
    fleet.sql("update rollout_stages set to_apply = 0, in_flight = 20")
    fleet.plane.clock.advance(seconds=14)
    await pacer.tick_rollout(fleet.plane, TENANT, made)
    pace = (await read(fleet, made)).pace
    assert pace is not None
    assert (pace.per_minute, pace.reason) == (1.0, ReasonCode.SLOWED_BY_APPLY_TIME)


async def test_a_lost_redis_starts_empty_at_the_lowered_rate(fleet: Fleet) -> None:
    made = await started(fleet)
    await report(fleet, "c00", ExtensionPhase.FAILED)
    released = fleet.targets(made)
    await fleet.plane.redis.flushall()
    fleet.plane.clock.advance(minutes=1)
    await pacer.tick_rollout(fleet.plane, TENANT, made)
    assert fleet.targets(made) == released, "nothing came out of an empty bucket"
    key = f"ab:pace:{{{TENANT}}}:rollout:{made}"
    interval = await fleet.plane.redis.hget(key, "i")  # type: ignore[misc] # redis-py's stubs
    rate = (await read(fleet, made)).pace
    assert rate is not None
    assert rate.per_minute < 2.0
    assert float(interval) == 60e6 / rate.per_minute
    waiting = (await read(fleet, made)).waiting_for
    assert waiting is not None
    assert waiting.until is not None
    assert waiting.until > fleet.plane.clock() + timedelta(seconds=30)


async def test_a_rollback_goes_at_the_declared_pace(fleet: Fleet) -> None:
    fleet.connect("a")
    fleet.outcome = lambda cluster, digest: None
    stage = {"name": "all", "maxConcurrent": 1, "maxFailures": 0, "soak": "0s"}
    content = manifest(rollout={"stages": [stage], "pace": ADAPTIVE})
    made = await publish.publish(fleet.plane, OPERATOR, content)
    await report(fleet, "a", ExtensionPhase.FAILED)
    (back,) = [r for r in fleet.rollouts() if r["kind"] == "rollback"]
    assert back["rollback_of"] == made.rollout_id
    assert (back["strategy"]["pace"]["mode"], back["pacing"]) == ("fixed", None)
    assert back["strategy"]["pace"]["perMinute"] == 2.0


async def test_a_plan_tells_how_long_the_slowest_pace_would_take(fleet: Fleet) -> None:
    fleet.connect(*(f"c{n}" for n in range(20)))
    content = manifest(rollout={"stages": ALL, "pace": ADAPTIVE})
    (stage,) = (await plan.plan(fleet.plane, OPERATOR, content)).stages
    each = apply_times.ASSUMED_P50_SECONDS
    assert stage.ends_after_seconds == pytest.approx(10 * 60 / 2 + each, abs=5)
    assert stage.ends_after_seconds_at_floor == pytest.approx(10 * 60 / 0.5 + each, abs=5)


async def test_slowed_rollouts_are_counted_by_cause(fleet: Fleet) -> None:
    await started(fleet)
    await report(fleet, "c00", ExtensionPhase.FAILED)
    async with fleet.plane.db.platform() as tx:
        rows = await tx.all(metrics._Q.metrics, now=fleet.plane.clock())
    slowed = [(row["label"], row["value"]) for row in rows if row["metric"] == "slowed"]
    assert slowed == [("SlowedByFailures", 1.0)]


async def test_rollouts_of_one_registry_share_its_bucket_whatever_their_source(
    fleet: Fleet,
) -> None:
    fleet.connect("a")
    digest = "sha256:" + "0" * 64
    archive = {"url": "https://files.test/app.tgz", "digest": digest}
    for name, source in (
        ("one", {"kustomize": {"archive": archive, "path": "one"}}),
        ("two", {"kustomize": {"archive": archive, "path": "two"}}),
        ("three", {"helm": {"repo": "oci://charts.test/x", "chart": "x", "version": "1.0.0"}}),
    ):
        pace = {"perMinute": 600, "burst": 10, "perSource": 30}
        content = manifest(name, source=source, rollout={"stages": ALL, "pace": pace})
        await publish.publish(fleet.plane, OPERATOR, content)
    keys = await fleet.plane.redis.keys(f"ab:pace:{{{TENANT}}}:source:*")
    assert len(keys) == 2
