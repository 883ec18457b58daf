"""dependsOn on real Postgres: order on each cluster, held at the release; removals turned round."""

from __future__ import annotations

from typing import Any

import pytest

from shared.contract.errors import ErrorCode, FieldError
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import ActionRequest, Rollout
from shared.contract.states import ExtensionPhase, RolloutState
from shared.domain.errors import ArcBridgeError
from shared.services import pacer, plan, publish, removal, rollout_targets, rollouts
from tests.integration.engine.fleet import OPERATOR, Fleet, manifest

WAITS = "base is not there"
NO_REASON = ActionRequest()
ONE_BY_ONE = {"stages": [{"name": "all", "maxConcurrent": 1, "soak": "0s"}]}


async def published(fleet: Fleet, *args: Any, **spec: Any) -> Rollout:
    made = await publish.publish(fleet.plane, OPERATOR, manifest(*args, **spec))
    assert made.rollout_id is not None
    return await rollouts.get(fleet.plane, OPERATOR, made.rollout_id)


async def now(fleet: Fleet, rollout: Rollout) -> Rollout:
    await pacer.tick_rollout(fleet.plane, OPERATOR.tenant, rollout.id)
    return await rollouts.get(fleet.plane, OPERATOR, rollout.id)


def assigned(fleet: Fleet, extension: str) -> dict[str, int]:
    rows = fleet.sql(
        "select cluster_id, revision from assignments where extension = %s and not absent",
        extension,
    )
    return {fleet.names[row["cluster_id"]]: row["revision"] for row in rows}


def row_of(fleet: Fleet, cluster: str, extension: str) -> dict[str, Any]:
    (row,) = fleet.sql(
        "select * from assignments where cluster_id = %s and extension = %s",
        fleet.id_of(cluster),
        extension,
    )
    return row


async def test_target_is_released_once_its_dependency_is_ready_there(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    base = await published(fleet, "base", rollout=ONE_BY_ONE)
    app = await published(fleet, "app", dependsOn=["base"])
    assert assigned(fleet, "app") == {}
    assert app.waiting_for is not None
    assert app.waiting_for.reason is ReasonCode.DEPENDENCY_NOT_READY
    assert "a: base is not ready there" in app.waiting_for.message
    page = await rollout_targets.list_targets(fleet.plane, OPERATOR, app.id)
    said = {each.cluster: each.waiting_for for each in page.items}
    assert {one.message for one in said.values() if one} == {"base is not ready there", WAITS}
    assert all(one and one.since and one.ends_when for one in said.values())
    await fleet.report(row_of(fleet, "a", "base"), ExtensionPhase.READY)
    assert assigned(fleet, "app") == {"a": 1}, "the report alone let it go on, on that cluster"
    await fleet.run()
    assert assigned(fleet, "app") == {"a": 1, "b": 1}
    assert (await now(fleet, app)).state is RolloutState.SUCCEEDED
    assert (await now(fleet, base)).state is RolloutState.SUCCEEDED


async def test_a_canary_is_taken_where_the_dependency_is_ready(fleet: Fleet) -> None:
    fleet.connect("a")
    fleet.connect("b", labels={"base": "yes"})
    await published(fleet, "base", placement={"matchLabels": {"base": "yes"}})
    await fleet.run()
    canary = {"stages": [{"name": "canary", "maxTargets": 1, "soak": "0s"}, {"name": "broad"}]}
    foreseen = await plan.plan(
        fleet.plane, OPERATOR, manifest("app", dependsOn=["base"], rollout=canary)
    )
    app = await published(fleet, "app", dependsOn=["base"], rollout=canary)
    page = await rollout_targets.list_targets(fleet.plane, OPERATOR, app.id)
    assert [(each.cluster, each.stage) for each in page.items] == [("b", "canary"), ("a", "broad")]
    assert [[each.cluster for each in stage.targets] for stage in foreseen.stages] == [["b"], ["a"]]
    assert assigned(fleet, "app") == {"b": 1}


async def test_cluster_without_the_dependency_does_not_hold_up_those_behind_it(
    fleet: Fleet,
) -> None:
    fleet.connect("a")
    fleet.connect("b", labels={"base": "yes"})
    await published(fleet, "base", placement={"matchLabels": {"base": "yes"}})
    await fleet.run()
    app = await published(fleet, "app", dependsOn=["base"], rollout=ONE_BY_ONE)
    await fleet.run(rounds=3)
    assert assigned(fleet, "app") == {"b": 1}
    fleet.plane.clock.advance(hours=9)
    app = await now(fleet, app)
    assert app.state is RolloutState.RUNNING, "however long it takes: no deadline runs"
    assert app.stages[0].failed == 0
    assert app.waiting_for is not None
    assert "a: base is not there" in app.waiting_for.message


async def test_who_publishes_is_warned_of_a_dependency_that_nothing_brings(fleet: Fleet) -> None:
    async def warnings(extension: str, **spec: Any) -> list[FieldError]:
        found = manifest(extension, **spec)
        return list((await publish.publish(fleet.plane, OPERATOR, found)).warnings)

    fleet.connect("a", "b", "c", "d")
    fleet.connect("e", labels={"base": "yes"})
    assert await warnings("app", dependsOn=["base"]) == [
        FieldError(
            field="spec.dependsOn",
            message="no extension base is declared: 5 clusters would wait for it without an end",
            remedy="declare base, or leave it out of dependsOn",
        )
    ]
    assert await warnings("base", placement={"matchLabels": {"base": "yes"}}) == []
    assert (
        await warnings("early", placement={"matchLabels": {"base": "yes"}}, dependsOn=["base"])
        == []
    ), "a rollout that is under way brings it there"
    await fleet.run()
    (gap,) = await warnings("late", dependsOn=["base"])
    assert gap.message == (
        "base is not on 4 of 5 clusters (a, b, c, and others), and no rollout brings it there: "
        "they wait for it without an end"
    )
    assert (
        await warnings("on-e", placement={"matchLabels": {"base": "yes"}}, dependsOn=["base"]) == []
    )
    assert (
        await warnings("nowhere", placement={"matchLabels": {"x": "y"}}, dependsOn=["none"]) == []
    )


async def test_failed_dependency_is_waited_for_without_a_time_out(fleet: Fleet) -> None:
    fleet.connect("a")
    await published(fleet, "base", rollout={"onFailure": "pause", "maxFailures": 0})
    await fleet.report(row_of(fleet, "a", "base"), ExtensionPhase.FAILED)
    app = await published(fleet, "app", dependsOn=["base"])
    fleet.plane.clock.advance(hours=9)
    app = await now(fleet, app)
    assert (app.state, app.stages[0].failed) == (RolloutState.RUNNING, 0)
    assert app.waiting_for is not None
    assert "base failed there" in app.waiting_for.message


async def test_newer_revision_of_the_dependency_that_began_first_goes_first(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    await published(fleet, "base")
    await fleet.run()
    base = await published(fleet, "base", "2.0.0", rollout=ONE_BY_ONE)
    app = await published(fleet, "app", dependsOn=["base"])
    assert app.waiting_for is not None
    assert "b: base is to be brought up to date there first" in app.waiting_for.message
    await rollouts.cancel(fleet.plane, OPERATOR, base.id, None, NO_REASON)
    await now(fleet, app)
    assert assigned(fleet, "app") == {"b": 1}, "what is cancelled is not waited for any more"


async def test_dependency_lost_after_the_release_stops_the_deadline(fleet: Fleet) -> None:
    fleet.connect("a")
    await published(fleet, "base")
    await fleet.run()
    app = await published(fleet, "app", dependsOn=["base"])
    waits = {"reason": "DependencyNotReady", "message": "It waits for base to be ready"}
    await fleet.report(row_of(fleet, "a", "app"), ExtensionPhase.APPLYING, **waits)
    fleet.plane.clock.advance(hours=1)
    app = await now(fleet, app)
    assert app.stages[0].in_flight == 1
    await fleet.report(row_of(fleet, "a", "app"), ExtensionPhase.APPLYING)
    assert (await now(fleet, app)).stages[0].in_flight == 1, "its ten minutes begin now"
    for _ in range(9):
        fleet.plane.clock.advance(minutes=1)
        await now(fleet, app)
        assert fleet.targets(app.id) == {"a": "Applying"}
    for _ in range(2):
        fleet.plane.clock.advance(minutes=1)
        await now(fleet, app)
    assert fleet.targets(app.id) == {"a": "TimedOut"}


async def test_removal_is_refused_while_an_extension_that_stays_depends_on_it(
    fleet: Fleet,
) -> None:
    fleet.connect("a")
    await published(fleet, "base")
    await fleet.run()
    await published(fleet, "app", dependsOn=["base"])
    await fleet.run()
    with pytest.raises(ArcBridgeError, match="app depends on base") as caught:
        await removal.delete(fleet.plane, OPERATOR, "base", None, None)
    assert caught.value.code is ErrorCode.CONFLICT


async def test_dependents_leave_each_cluster_first(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    await published(fleet, "base")
    await fleet.run()
    await published(fleet, "app", dependsOn=["base"])
    await fleet.run()
    await removal.delete(fleet.plane, OPERATOR, "app", None, None)
    base = await removal.delete(fleet.plane, OPERATOR, "base", None, None)
    assert assigned(fleet, "base") == {"a": 1, "b": 1}
    base = await now(fleet, base)
    assert base.waiting_for is not None
    assert base.waiting_for.reason is ReasonCode.DEPENDENT_PRESENT
    await fleet.report(row_of(fleet, "b", "app"), ExtensionPhase.REMOVED)
    assert assigned(fleet, "base") == {"a": 1}
    await fleet.run()
    assert assigned(fleet, "base") == {}
    assert (await now(fleet, base)).state is RolloutState.SUCCEEDED


async def test_what_is_being_removed_cannot_be_depended_on(fleet: Fleet) -> None:
    fleet.connect("a")
    await published(fleet, "base")
    await fleet.run()
    await removal.delete(fleet.plane, OPERATOR, "base", None, None)
    with pytest.raises(ArcBridgeError, match="being removed: base") as caught:
        await publish.publish(fleet.plane, OPERATOR, manifest("app", dependsOn=["base"]))
    assert caught.value.code is ErrorCode.INVALID_REQUEST


async def test_rollback_does_not_wait_for_dependencies(fleet: Fleet) -> None:
    fleet.connect("a")
    await published(fleet, "base", rollout={"onFailure": "pause", "maxFailures": 0})
    await fleet.report(row_of(fleet, "a", "base"), ExtensionPhase.READY)
    await fleet.run()
    await published(fleet, "app", dependsOn=["base"])
    await fleet.run()
    bad = await published(fleet, "app", "2.0.0", dependsOn=["base"], rollout={"maxFailures": 0})
    await fleet.report(row_of(fleet, "a", "base"), ExtensionPhase.FAILED)
    await fleet.report(row_of(fleet, "a", "app"), ExtensionPhase.FAILED)
    await fleet.run()
    assert assigned(fleet, "app") == {"a": 1}
    assert (await now(fleet, bad)).state is RolloutState.ROLLED_BACK
