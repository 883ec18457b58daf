"""Plan and simulation over the fleet as it stands, on real Postgres; nothing is stored by them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.contract.extension import ExtensionManifest
from shared.contract.plan import TimesSource
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import ActionRequest
from shared.contract.states import RolloutState
from shared.services import plan, publish, rollouts, simulate
from tests.integration.engine.fleet import OPERATOR, Fleet, manifest

CANARY = {
    "stages": [
        {"name": "canary", "maxTargets": 1, "maxConcurrent": 1, "maxFailures": 0, "soak": "1m"},
        {"name": "broad", "maxConcurrent": 2, "soak": "1m"},
    ],
    "maxFailures": 1,
}
STORED = ("rollouts", "rollout_targets", "revisions", "resolved_specs", "assignments", "events")


def stored(fleet: Fleet) -> dict[str, int]:
    return {
        table: fleet.sql(f"select count(*) n from {table}")[0]["n"]  # noqa: S608 - names above
        for table in STORED
    }


@pytest.fixture
async def second(fleet: Fleet) -> ExtensionManifest:
    """Eight clusters have revision 1, each after 20 s; this would be revision 2."""
    fleet.connect(*(f"c{n}" for n in range(8)))
    await publish.publish(fleet.plane, OPERATOR, manifest())
    await fleet.run()
    fleet.sql("update rollout_targets set released_at = ready_since - interval '20 seconds'")
    return manifest(version="2.0.0", rollout=CANARY)


async def test_plan_predicts_from_what_the_extension_took(
    fleet: Fleet, second: ExtensionManifest
) -> None:
    before = stored(fleet)
    planned = await plan.plan(fleet.plane, OPERATOR, second)
    assert stored(fleet) == before
    assert planned.apply_times.source is TimesSource.EXTENSION
    assert (planned.apply_times.p50_seconds, planned.apply_times.samples) == (20.0, 8)
    canary, broad = planned.stages
    assert canary.ends_after_seconds == pytest.approx(80, abs=2)
    assert broad.starts_after_seconds == pytest.approx(80, abs=2)
    assert broad.ends_after_seconds == pytest.approx(80 + 4 * 80, abs=10), "seven by twos"
    assert (canary.blast_radius, broad.blast_radius) == (1, 1 + 2 + 1)
    assert planned.blast_radius == 1
    assert planned.ends_as is RolloutState.SUCCEEDED
    (difference,) = planned.differences
    assert difference.clusters == 8
    assert [(c.path, c.before, c.after) for c in difference.changes] == [
        ("/source/helm/version", "1.0.0", "2.0.0")
    ]


async def test_plan_of_an_unknown_extension_rests_on_the_tenants_history(
    fleet: Fleet, second: ExtensionManifest
) -> None:
    planned = await plan.plan(fleet.plane, OPERATOR, manifest("other"))
    assert planned.apply_times.source is TimesSource.TENANT
    fleet.sql("delete from rollout_targets")
    planned = await plan.plan(fleet.plane, OPERATOR, manifest("other"))
    assert planned.apply_times.source is TimesSource.DEFAULT
    assert any("are a guess" in said for said in planned.assumptions)


async def test_a_first_plan_foretells_no_failure_that_nothing_speaks_for(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    impatient = manifest(rollout={**CANARY, "progressDeadline": "20s"})
    planned = await plan.plan(fleet.plane, OPERATOR, impatient)
    assert planned.apply_times.source is TimesSource.DEFAULT
    assert planned.ends_as is RolloutState.SUCCEEDED
    assert all(stage.ends_after_seconds_at_p95 is not None for stage in planned.stages)


async def test_plan_says_what_each_cluster_would_wait_for_and_who_is_left_out(
    fleet: Fleet,
) -> None:
    fleet.connect("a", "b", "c", labels={"env": "prod"})
    fleet.connect("test", labels={"env": "test"})
    fleet.set_state("b", "Offline", silent_for=timedelta(minutes=4))
    fleet.sql("update clusters set not_now_until = now() + interval '1 hour' where name = 'c'")
    placed = manifest("app", placement={"matchLabels": {"env": "prod"}}, dependsOn=["db"])
    planned = await plan.plan(fleet.plane, OPERATOR, placed)
    (stage,) = planned.stages
    waits = {t.cluster: t.waiting_for.reason for t in stage.targets if t.waiting_for}
    assert waits == {
        "a": ReasonCode.DEPENDENCY_NOT_READY,
        "b": ReasonCode.CLUSTER_OFFLINE,
        "c": ReasonCode.NOT_NOW,
    }
    assert planned.not_selected == 1
    assert any("silent now stays so" in said for said in planned.assumptions)
    assert stage.ends_after_seconds is None
    assert planned.waiting_for is not None
    assert planned.waiting_for.reason is ReasonCode.DEPENDENCY_NOT_READY
    assert planned.ends_as is RolloutState.RUNNING
    alone = await plan.plan(fleet.plane, OPERATOR, manifest("app"))
    assert alone.stages[0].ends_after_seconds is not None
    assert 4 * 60 < alone.stages[0].ends_after_seconds <= 6 * 60 + 2, (
        "b is skipped ten minutes after its last"
    )


ONE_BY_ONE = {"stages": [{"name": "all", "maxConcurrent": 1, "soak": "0s"}]}


async def test_plan_goes_by_the_rollout_that_brings_the_dependency(fleet: Fleet) -> None:
    """Nobody answers: a has got db and applies it, b is the next, c is not to get it."""
    fleet.connect("a", "b", labels={"db": "yes"})
    fleet.connect("c")
    needed = manifest("db", placement={"matchLabels": {"db": "yes"}}, rollout=ONE_BY_ONE)
    made = await publish.publish(fleet.plane, OPERATOR, needed)
    app = manifest("app", placement={"matchLabels": {"db": "yes"}}, dependsOn=["db"])
    before = stored(fleet)
    planned = await plan.plan(fleet.plane, OPERATOR, app)
    assert stored(fleet) == before
    (stage,) = planned.stages
    until = {t.cluster: t.waiting_for.until for t in stage.targets if t.waiting_for}
    after = [(at - planned.planned_at).total_seconds() for at in until.values() if at]
    assert after == pytest.approx([60, 120], abs=5), "a minute each, one by one"
    assert stage.ends_after_seconds == pytest.approx(180, abs=6), "and a minute for b itself"
    assert (planned.ends_as, planned.waiting_for) == (RolloutState.SUCCEEDED, None)
    assert stage.ends_after_seconds_at_p95 == pytest.approx(3 * 180, abs=6)
    assert made.rollout_id is not None
    await rollouts.pause(fleet.plane, OPERATOR, made.rollout_id, None, ActionRequest())
    planned = await plan.plan(fleet.plane, OPERATOR, app)
    assert planned.waiting_for is not None
    assert "b: db is not there" in planned.waiting_for.message, "a gets it all the same"


async def test_simulation_holds_what_no_rollout_brings_a_dependency_to(fleet: Fleet) -> None:
    fleet.connect("a", "b", labels={"db": "yes"})
    fleet.connect("c")
    needed = manifest("db", placement={"matchLabels": {"db": "yes"}})
    await publish.publish(fleet.plane, OPERATOR, needed)
    await fleet.run()
    app = manifest("app", dependsOn=["db"])
    went = await simulate.simulate(fleet.plane, OPERATOR, app)
    assert (went.state, went.ends_after_seconds) == (RolloutState.RUNNING, None)
    assert (went.reached, went.samples[-1].held, went.stages[0].unfinished) == (2, 1, 1)
    assert went.waiting_for is not None
    assert "c: db is not there" in went.waiting_for.message
    await publish.publish(fleet.plane, OPERATOR, app)
    await fleet.run(rounds=3)
    assert len(fleet.sql("select 1 from assignments where extension = 'app'")) == 2, "as it went"


async def test_plan_holds_a_dependency_where_its_dependents_still_are(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    await publish.publish(fleet.plane, OPERATOR, manifest("db"))
    await fleet.run()
    await publish.publish(fleet.plane, OPERATOR, manifest("app", dependsOn=["db"]))
    await fleet.run()
    fleet.sql("update clusters set labels = '{\"db\": \"yes\"}' where name = 'a'")
    narrowed = manifest("db", placement={"matchLabels": {"db": "yes"}})
    planned = await plan.plan(fleet.plane, OPERATOR, narrowed)
    assert planned.leaves == ("b",)
    waits = {t.cluster: t.waiting_for.reason for t in planned.stages[0].targets if t.waiting_for}
    assert waits == {"b": ReasonCode.DEPENDENT_PRESENT}
    assert planned.waiting_for is not None
    assert planned.waiting_for.reason is ReasonCode.DEPENDENT_PRESENT


async def test_what_a_dependency_waits_for_itself_is_foreseen_too(fleet: Fleet) -> None:
    fleet.connect("a")
    await publish.publish(fleet.plane, OPERATOR, manifest("disk"))
    await publish.publish(fleet.plane, OPERATOR, manifest("db", dependsOn=["disk"]))
    went = await simulate.simulate(fleet.plane, OPERATOR, manifest("app", dependsOn=["db"]), seed=2)
    assert went.state is RolloutState.SUCCEEDED
    assert went.ends_after_seconds is not None
    assert any("rollouts under way bring it (2," in said for said in went.assumptions)
    planned = await plan.plan(fleet.plane, OPERATOR, manifest("app", dependsOn=["db"]))
    assert planned.stages[0].ends_after_seconds == pytest.approx(180, abs=6), "a minute each"


async def test_simulation_is_the_same_for_a_seed_and_touches_nothing(
    fleet: Fleet, second: ExtensionManifest
) -> None:
    before = stored(fleet)
    fleet.plane.clock.advance(seconds=1)
    first = await simulate.simulate(fleet.plane, OPERATOR, second, failures="3", seed=5)
    again = await simulate.simulate(fleet.plane, OPERATOR, second, failures="3", seed=5)
    assert stored(fleet) == before
    varying = {"starts_at"}
    assert first.model_dump(exclude=varying) == again.model_dump(exclude=varying)
    assert first.state is RolloutState.ROLLED_BACK
    assert first.reached == first.taken_back + sum(s.skipped for s in first.stages)
    assert first.reached_at_first_failure is not None
    reasons = [event.reason for event in first.events]
    assert ReasonCode.FAILURE_BUDGET_EXCEEDED in reasons


async def test_simulation_without_failures_ends_as_planned(
    fleet: Fleet, second: ExtensionManifest
) -> None:
    planned = await plan.plan(fleet.plane, OPERATOR, second)
    went = await simulate.simulate(fleet.plane, OPERATOR, second)
    assert went.state is RolloutState.SUCCEEDED
    assert went.ends_after_seconds == pytest.approx(planned.stages[-1].ends_after_seconds, abs=10)
    assert went.samples[-1].succeeded == went.targets == 8


async def test_offline_clusters_are_skipped_in_a_simulation(
    fleet: Fleet, second: ExtensionManifest
) -> None:
    went = await simulate.simulate(fleet.plane, OPERATOR, second, offline="25%", seed=3)
    assert went.state is RolloutState.SUCCEEDED
    assert sum(stage.skipped for stage in went.stages) == 2
    assert went.reached == 6
