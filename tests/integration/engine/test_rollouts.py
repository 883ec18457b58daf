"""Rollouts over real Postgres and Redis, with agents that answer through status.ingest."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.contract.errors import ErrorCode
from shared.contract.rollout import ActionRequest, RollbackRequest
from shared.contract.states import ExtensionPhase, RevisionState, RolloutState
from shared.domain.errors import ArcBridgeError
from shared.services import (
    pacer,
    plan,
    publish,
    quarantine,
    removal,
    rollback,
    rollout_targets,
    rollouts,
)
from tests.integration.engine.fleet import OPERATOR, TENANT, Fleet, always_ready, manifest

CANARY = {
    "stages": [
        {"name": "canary", "maxTargets": 1, "maxConcurrent": 1, "maxFailures": 0, "soak": "0s"},
        {"name": "broad", "maxConcurrent": "50%", "soak": "0s"},
    ],
    "maxFailures": 0,
}


async def test_publish_reaches_every_cluster_and_proves_the_revision(fleet: Fleet) -> None:
    fleet.connect("a", "b", "c", "d")
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout=CANARY))
    assert made.created
    assert made.revision == 1
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("abcd", (1, False))
    rollout = await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)
    assert rollout.state is RolloutState.SUCCEEDED
    assert [stage.succeeded for stage in rollout.stages] == [1, 3]
    assert fleet.sql("select state from revisions") == [{"state": "Good"}]
    targets = await rollout_targets.list_targets(fleet.plane, OPERATOR, made.rollout_id)
    assert [target.cluster for target in targets.items] == ["a", "b", "c", "d"]


async def test_a_budget_in_percent_is_told_as_it_is_earned(fleet: Fleet) -> None:
    fleet.connect(*(f"c{n:02}" for n in range(40)))
    fleet.outcome = lambda cluster, digest: None
    stage = {"name": "all", "maxConcurrent": 10, "maxFailures": "20%", "soak": "0s"}
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout={"stages": [stage]}))
    assert made.rollout_id is not None
    (begun,) = (await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)).stages
    assert (begun.in_flight, begun.failure_budget) == (10, 5 + 2)
    fleet.outcome = always_ready
    await fleet.run()
    (done,) = (await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)).stages
    assert (done.succeeded, done.failure_budget) == (40, 8), "of the whole stage, and no more"


async def test_same_content_again_makes_nothing(fleet: Fleet) -> None:
    fleet.connect("a")
    first = await publish.publish(fleet.plane, OPERATOR, manifest())
    again = await publish.publish(fleet.plane, OPERATOR, manifest())
    assert (again.created, again.revision, again.rollout_id) == (False, 1, first.rollout_id)


async def test_bad_canary_rolls_itself_back_and_no_other_cluster_saw_it(fleet: Fleet) -> None:
    fleet.connect("a", "b", "c")
    await publish.publish(fleet.plane, OPERATOR, manifest(rollout=CANARY))
    await fleet.run()
    bad = await publish.publish(fleet.plane, OPERATOR, manifest(version="2.0.0", rollout=CANARY))
    digest = fleet.sql("select distinct goal_digest d from rollout_targets where goal_revision = 2")
    fleet.outcome = lambda cluster, held: (
        ExtensionPhase.FAILED if held == digest[0]["d"] else ExtensionPhase.READY
    )
    await fleet.run()
    forward = await rollouts.get(fleet.plane, OPERATOR, bad.rollout_id)
    assert forward.state is RolloutState.ROLLED_BACK
    assert forward.rolled_back_by is not None
    back = await rollouts.get(fleet.plane, OPERATOR, forward.rolled_back_by)
    assert back.state is RolloutState.SUCCEEDED
    assert fleet.targets(bad.rollout_id) == {"a": "Failed", "b": "ToApply", "c": "ToApply"}
    assert fleet.targets(back.id) == {"a": "Succeeded"}
    assert fleet.assignments() == dict.fromkeys("abc", (1, False))
    states = fleet.sql("select number, state from revisions order by number")
    assert [row["state"] for row in states] == ["Good", "Quarantined"]
    with pytest.raises(ArcBridgeError) as caught:
        await publish.publish(fleet.plane, OPERATOR, manifest(version="2.0.0", rollout=CANARY))
    assert caught.value.code is ErrorCode.QUARANTINED


async def test_one_failure_within_the_budget_goes_back_alone(fleet: Fleet) -> None:
    fleet.connect("a", "b", "c")
    strategy = {"maxFailures": 1}
    await publish.publish(fleet.plane, OPERATOR, manifest(rollout=strategy))
    await fleet.run()
    fleet.outcome = lambda cluster, held: (
        ExtensionPhase.FAILED
        if cluster == "b" and held != digests[0]["spec_digest"]
        else ExtensionPhase.READY
    )
    digests = fleet.sql("select distinct spec_digest from assignments")
    made = await publish.publish(fleet.plane, OPERATOR, manifest(version="2.0.0", rollout=strategy))
    await fleet.run()
    rollout = await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)
    assert rollout.state is RolloutState.SUCCEEDED
    assert fleet.assignments() == {"a": (2, False), "b": (1, False), "c": (2, False)}


async def test_one_click_goes_back_and_twice_is_once(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    for version in ("1.0.0", "2.0.0"):
        await publish.publish(fleet.plane, OPERATOR, manifest(version=version))
        await fleet.run()
    first = await rollback.rollback(fleet.plane, OPERATOR, "app", RollbackRequest())
    again = await rollback.rollback(fleet.plane, OPERATOR, "app", RollbackRequest())
    assert (first.created, again.created) == (True, False)
    assert first.rollout_id == again.rollout_id
    assert first.quarantined_revision == 2
    assert [(way.to_revision, way.clusters) for way in first.ways] == [(1, 2)]
    assert again.ways == first.ways
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("ab", (1, False))
    later = await rollback.rollback(fleet.plane, OPERATOR, "app", RollbackRequest())
    assert (later.created, later.rollout_id) == (False, first.rollout_id)


async def test_rollback_of_the_only_revision_removes_it(fleet: Fleet) -> None:
    fleet.connect("a")
    await publish.publish(fleet.plane, OPERATOR, manifest())
    await fleet.run()
    back = await rollback.rollback(fleet.plane, OPERATOR, "app", RollbackRequest())
    assert [(way.to_revision, way.clusters) for way in back.ways] == [(0, 1)]
    await fleet.run()
    assert fleet.assignments() == {"a": (1, True)}


async def test_rollback_to_a_named_revision(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        await publish.publish(fleet.plane, OPERATOR, manifest(version=version))
        await fleet.run()
    await rollback.rollback(fleet.plane, OPERATOR, "app", RollbackRequest(to_revision=1))
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("ab", (1, False))
    assert fleet.rollouts()[-1]["state"] == "Succeeded"


async def test_publishing_supersedes_what_runs(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    fleet.outcome = lambda cluster, held: None
    old = await publish.publish(fleet.plane, OPERATOR, manifest())
    new = await publish.publish(fleet.plane, OPERATOR, manifest(version="2.0.0"))
    assert new.superseded == (old.rollout_id,)
    fleet.outcome = lambda cluster, held: ExtensionPhase.READY
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("ab", (2, False))
    assert (
        await rollouts.get(fleet.plane, OPERATOR, old.rollout_id)
    ).superseded_by == new.rollout_id
    page = await rollout_targets.list_targets(fleet.plane, OPERATOR, old.rollout_id)
    assert "superseded in flight" in page.items[0].message


async def test_paused_rollout_releases_nothing_until_it_is_resumed(fleet: Fleet) -> None:
    fleet.connect("a", "b", "c")
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout=CANARY))
    paused = await rollouts.pause(
        fleet.plane, OPERATOR, made.rollout_id, None, ActionRequest(reason="lunch")
    )
    assert paused.state is RolloutState.PAUSED
    await fleet.run(rounds=3)
    waiting = (await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)).waiting_for
    assert waiting is not None
    assert "lunch" in waiting.message
    assert len(fleet.assignments()) == 1
    with pytest.raises(ArcBridgeError) as caught:
        await rollouts.resume(fleet.plane, OPERATOR, made.rollout_id, "1", ActionRequest())
    assert caught.value.code is ErrorCode.PRECONDITION_FAILED
    await rollouts.resume(fleet.plane, OPERATOR, made.rollout_id, None, ActionRequest())
    await fleet.run()
    assert len(fleet.assignments()) == 3


async def test_approval_is_awaited_however_long_it_takes(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    strategy = {
        "stages": [
            {"name": "one", "maxTargets": 1, "soak": "0s"},
            {"name": "two", "soak": "0s", "approval": "required"},
        ]
    }
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout=strategy))
    await fleet.run(rounds=4)
    fleet.plane.clock.advance(days=400)
    await fleet.run(rounds=2)
    rollout = await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)
    assert rollout.state is RolloutState.AWAITING_APPROVAL
    assert rollout.waiting_for is not None
    assert "two" in rollout.waiting_for.message
    await rollouts.approve(fleet.plane, OPERATOR, made.rollout_id, None, ActionRequest())
    await fleet.run()
    rollout = await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)
    assert rollout.state is RolloutState.SUCCEEDED
    assert rollout.stages[1].approved_by == OPERATOR.actor


async def test_soak_ends_by_time_and_lost_health_fails(fleet: Fleet) -> None:
    fleet.connect("a")
    strategy = {"stages": [{"name": "all", "soak": "5m"}]}
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout=strategy))
    await fleet.run(rounds=3)
    assert fleet.targets(made.rollout_id) == {"a": "Verifying"}
    fleet.plane.clock.advance(minutes=5)
    fleet.sql("update sessions set last_heartbeat = %s", fleet.plane.clock())
    await fleet.run(rounds=3)
    assert fleet.targets(made.rollout_id) == {"a": "Succeeded"}
    made = await publish.publish(fleet.plane, OPERATOR, manifest(version="2.0.0", rollout=strategy))
    await fleet.answer()
    row = fleet.sql("select * from assignments")[0]
    await fleet.report(row, ExtensionPhase.FAILED, reason="HealthCheckFailed")
    await fleet.report(row, ExtensionPhase.READY)
    assert fleet.targets(made.rollout_id) == {"a": "Failed"}
    await fleet.run()
    assert fleet.assignments() == {"a": (1, False)}


async def test_deadline_passes_and_the_target_times_out(fleet: Fleet) -> None:
    fleet.connect("a")
    fleet.outcome = lambda cluster, held: ExtensionPhase.APPLYING
    made = await publish.publish(
        fleet.plane, OPERATOR, manifest(rollout={"maxFailures": 0, "onFailure": "pause"})
    )
    await fleet.run(rounds=13, step=timedelta(minutes=1))
    assert fleet.targets(made.rollout_id) == {"a": "TimedOut"}
    rollout = await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)
    assert rollout.state is RolloutState.PAUSED
    assert rollout.waiting_for is not None
    assert "budget" in rollout.waiting_for.message


async def test_report_of_a_session_that_is_not_known_is_refused(fleet: Fleet) -> None:
    fleet.connect("a")
    await publish.publish(fleet.plane, OPERATOR, manifest())
    await pacer.tick(fleet.plane)
    (row,) = fleet.sql("select * from assignments")
    with pytest.raises(ArcBridgeError) as caught:
        await fleet.report(row, ExtensionPhase.READY, epoch=2)
    assert caught.value.code is ErrorCode.STALE_EPOCH


async def test_release_is_of_a_generation_that_no_agent_has_seen(fleet: Fleet) -> None:
    fleet.connect("a")
    await publish.publish(fleet.plane, OPERATOR, manifest())
    await fleet.run()
    fleet.sql("update assignments set observed_generation = 7")
    await publish.publish(fleet.plane, OPERATOR, manifest(version="2.0.0"))
    await fleet.run()
    assert fleet.sql("select generation from assignments") == [{"generation": 8}]


async def test_time_in_which_nobody_looked_is_no_targets_fault(fleet: Fleet) -> None:
    fleet.connect("a")
    fleet.outcome = lambda cluster, held: ExtensionPhase.APPLYING
    made = await publish.publish(
        fleet.plane, OPERATOR, manifest(rollout={"maxFailures": 0, "onFailure": "pause"})
    )
    await fleet.run(rounds=3)
    fleet.plane.clock.advance(hours=8)
    await fleet.run(rounds=3)
    assert fleet.targets(made.rollout_id) == {"a": "Applying"}, "its ten minutes begin now"
    await fleet.run(rounds=12, step=timedelta(minutes=1))
    assert fleet.targets(made.rollout_id) == {"a": "TimedOut"}


async def test_offline_clusters_are_skipped_and_caught_up_when_they_return(fleet: Fleet) -> None:
    fleet.connect("a", "b", "c")
    fleet.set_state("c", "Offline", timedelta(minutes=30))
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout={"maxFailures": 0}))
    await fleet.run()
    assert (await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)).state == "Succeeded"
    assert fleet.targets(made.rollout_id) == {"a": "Succeeded", "b": "Succeeded", "c": "Skipped"}
    fleet.set_state("c", "Connected")
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("abc", (1, False))
    assert [row["kind"] for row in fleet.rollouts()] == ["publish", "placement"]


async def test_skipped_cluster_is_taken_up_by_the_running_rollout(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    fleet.outcome = lambda cluster, held: None if cluster == "a" else ExtensionPhase.READY
    fleet.set_state("b", "Offline", timedelta(minutes=30))
    made = await publish.publish(fleet.plane, OPERATOR, manifest())
    await fleet.run(rounds=2)
    assert fleet.targets(made.rollout_id) == {"a": "Released", "b": "Skipped"}
    fleet.set_state("b", "Connected")
    fleet.plane.clock.advance(seconds=31)
    await fleet.run(rounds=3)
    assert fleet.targets(made.rollout_id) == {"a": "Released", "b": "Succeeded"}


async def test_removal_goes_through_tombstones(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    await publish.publish(fleet.plane, OPERATOR, manifest())
    await fleet.run()
    started = await removal.delete(fleet.plane, OPERATOR, "app", None, "not needed")
    again = await removal.delete(fleet.plane, OPERATOR, "app", None, None)
    assert again.id == started.id
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("ab", (1, True))
    assert fleet.sql("select deleted_at is not null as gone, deleting from extensions") == [
        {"gone": True, "deleting": False}
    ]
    with pytest.raises(ArcBridgeError):
        await removal.delete(fleet.plane, OPERATOR, "app", None, None)
    back = await publish.publish(fleet.plane, OPERATOR, manifest())
    assert not back.created
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("ab", (1, False))


async def test_label_change_moves_a_cluster_in_and_out(fleet: Fleet) -> None:
    from shared.services import placement

    fleet.connect("a", labels={"env": "prod"})
    [other] = fleet.connect("b", labels={"env": "dev"})
    placed = {"placement": {"matchLabels": {"env": "prod"}}}
    await publish.publish(fleet.plane, OPERATOR, manifest(**placed))
    await fleet.run()
    assert fleet.assignments() == {"a": (1, False)}
    for env, expected in (("prod", False), ("dev", True)):
        fleet.sql(f"""update clusters set labels = '{{"env": "{env}"}}' where name = 'b'""")  # noqa: S608 - a literal of this test
        async with fleet.plane.db.tenant("demo") as tx:
            await placement.reconsider(tx, "demo", other)
        await fleet.run(rounds=6)
        assert fleet.assignments()["b"] == (1, expected)


async def test_plan_shows_what_publishing_would_do_and_stores_nothing(fleet: Fleet) -> None:
    fleet.connect("a", "b", "c")
    await publish.publish(fleet.plane, OPERATOR, manifest(rollout=CANARY))
    await fleet.run()
    before = fleet.sql("select count(*) n from rollouts")
    planned = await plan.plan(fleet.plane, OPERATOR, manifest(version="2.0.0", rollout=CANARY))
    assert planned.revision == 2
    assert [len(stage.targets) for stage in planned.stages] == [1, 2]
    assert planned.stages[0].targets[0].changes == ("/source/helm/version",)
    assert planned.blast_radius == 1
    assert fleet.sql("select count(*) n from rollouts") == before


async def test_cycle_of_dependencies_is_refused_and_named(fleet: Fleet) -> None:
    fleet.connect("a")
    await publish.publish(fleet.plane, OPERATOR, manifest("db", dependsOn=["app"]))
    with pytest.raises(ArcBridgeError) as caught:
        await publish.publish(fleet.plane, OPERATOR, manifest("app", dependsOn=["db"]))
    assert caught.value.code is ErrorCode.DEPENDENCY_CYCLE
    assert "app -> db -> app" in caught.value.detail


async def test_quarantine_ends_the_rollout_and_lifting_it_allows_a_new_one(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout=CANARY))
    await quarantine.quarantine(fleet.plane, OPERATOR, "app", 1, ActionRequest(reason="CVE"))
    ended = await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)
    assert ended.state is RolloutState.FAILED
    await fleet.run(rounds=3)
    assert len(fleet.assignments()) == 1
    lifted = await quarantine.release(fleet.plane, OPERATOR, "app", 1, ActionRequest())
    assert lifted.state is RevisionState.CANDIDATE
    again = await publish.publish(fleet.plane, OPERATOR, manifest(rollout=CANARY))
    assert again.rollout_id != made.rollout_id
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("ab", (1, False))


async def test_what_was_good_and_rolled_back_goes_out_again_once_its_quarantine_is_lifted(
    fleet: Fleet,
) -> None:
    fleet.connect("a", "b")
    for version in ("1.0.0", "2.0.0"):
        await publish.publish(fleet.plane, OPERATOR, manifest(version=version))
        await fleet.run()
    await rollback.rollback(fleet.plane, OPERATOR, "app", RollbackRequest())
    await fleet.run()
    await quarantine.release(fleet.plane, OPERATOR, "app", 2, ActionRequest())
    second = manifest(version="2.0.0")
    planned = await plan.plan(fleet.plane, OPERATOR, second)
    assert (planned.revision, planned.unchanged) == (2, False)
    again = await publish.publish(fleet.plane, OPERATOR, second)
    assert (again.revision, again.created, again.started) == (2, False, True)
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("ab", (2, False))
    assert (await plan.plan(fleet.plane, OPERATOR, second)).unchanged
    third = await publish.publish(fleet.plane, OPERATOR, second)
    assert (third.started, third.rollout_id) == (False, again.rollout_id)


async def test_plan_of_what_was_removed_says_that_it_would_go_out_again(fleet: Fleet) -> None:
    fleet.connect("a")
    await publish.publish(fleet.plane, OPERATOR, manifest())
    await fleet.run()
    await removal.delete(fleet.plane, OPERATOR, "app", None, None)
    await fleet.run()
    assert not (await plan.plan(fleet.plane, OPERATOR, manifest())).unchanged
    assert (await publish.publish(fleet.plane, OPERATOR, manifest())).started


async def test_publish_during_a_rollback_waits_for_its_end(fleet: Fleet) -> None:
    fleet.connect("a")
    await publish.publish(fleet.plane, OPERATOR, manifest())
    await fleet.run()
    await publish.publish(fleet.plane, OPERATOR, manifest(version="2.0.0"))
    await fleet.run()
    fleet.outcome = lambda cluster, held: None
    back = await rollback.rollback(fleet.plane, OPERATOR, "app", RollbackRequest())
    made = await publish.publish(fleet.plane, OPERATOR, manifest(version="3.0.0"))
    await fleet.run(rounds=2)
    waiting = (await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)).waiting_for
    assert waiting is not None
    assert str(back.rollout_id) in waiting.message
    fleet.outcome = lambda cluster, held: ExtensionPhase.READY
    await fleet.run()
    assert fleet.assignments() == {"a": (3, False)}


async def test_cancelling_a_rollback_ends_what_it_took_back_and_lets_the_next_one_go(
    fleet: Fleet,
) -> None:
    fleet.connect("a", "b")
    await publish.publish(fleet.plane, OPERATOR, manifest(rollout=CANARY))
    await fleet.run()
    fleet.outcome = lambda cluster, held: None
    forward = await publish.publish(
        fleet.plane, OPERATOR, manifest(version="2.0.0", rollout=CANARY)
    )
    back = await rollback.rollback(fleet.plane, OPERATOR, "app", RollbackRequest())
    behind = await publish.publish(fleet.plane, OPERATOR, manifest(version="3.0.0", rollout=CANARY))
    assert forward.rollout_id is not None
    assert behind.rollout_id is not None
    await fleet.run(rounds=2)
    await rollouts.cancel(fleet.plane, OPERATOR, back.rollout_id, None, ActionRequest())
    taken_back = await rollouts.get(fleet.plane, OPERATOR, forward.rollout_id)
    assert (taken_back.state, taken_back.waiting_for) == (RolloutState.FAILED, None)
    fleet.outcome = lambda cluster, held: ExtensionPhase.READY
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("ab", (3, False))


async def test_a_cluster_that_only_begins_costs_no_look_and_an_end_is_seen_at_once(
    fleet: Fleet,
) -> None:
    fleet.connect("a")
    fleet.outcome = lambda cluster, digest: None
    made = await publish.publish(fleet.plane, OPERATOR, manifest())
    assert made.rollout_id is not None
    (row,) = fleet.sql("select * from assignments")
    await fleet.report(row, ExtensionPhase.APPLYING)
    assert fleet.targets(made.rollout_id) == {"a": "Released"}
    await pacer.tick_rollout(fleet.plane, TENANT, made.rollout_id)
    assert fleet.targets(made.rollout_id) == {"a": "Applying"}
    await fleet.report(row, ExtensionPhase.READY)
    assert fleet.targets(made.rollout_id) == {"a": "Succeeded"}


async def test_health_that_is_lost_in_the_soak_is_seen_at_once(fleet: Fleet) -> None:
    fleet.connect("a")
    fleet.outcome = lambda cluster, digest: None
    stage = {"name": "all", "maxConcurrent": 1, "soak": "1h"}
    made = await publish.publish(fleet.plane, OPERATOR, manifest(rollout={"stages": [stage]}))
    assert made.rollout_id is not None
    (row,) = fleet.sql("select * from assignments")
    await fleet.report(row, ExtensionPhase.READY)
    assert fleet.targets(made.rollout_id) == {"a": "Verifying"}
    await fleet.report(row, ExtensionPhase.APPLYING)
    assert fleet.targets(made.rollout_id) == {"a": "Applying"}
