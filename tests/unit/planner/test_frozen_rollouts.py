"""While a freeze is in force nothing is released forward; rollbacks are.

The random worlds of test_invariants have freezes too.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind, RolloutState
from shared.contract.strategy import RolloutStrategy
from shared.planner.windows import Verdict
from tests.unit.planner.worlds.fleet import Cluster
from tests.unit.planner.worlds.world import World

FAST = RolloutStrategy.model_validate(
    {
        "stages": [{"name": "all", "maxConcurrent": 1, "soak": "0s"}],
        "maxFailures": 0,
        "pace": {"perMinute": 6000, "burst": 100},
    }
)


def frozen_world(*clusters: Cluster) -> World:
    """The first revision is everywhere; the second one is under way on the first cluster."""
    world = World(clusters)
    world.publish(1, FAST)
    world.settle()
    world.publish(2, FAST)
    world.tick()
    world.frozen_until = world.now + timedelta(minutes=10)
    return world


def answer(world: World) -> None:
    for cluster in world.clusters.values():
        while cluster.act(world.now):
            pass
        for event in cluster.journal:
            world.receive(cluster, cluster.epoch, event)
        cluster.journal.clear()


def test_the_watch_sees_a_release_that_a_freeze_should_have_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Verdict, "is_open", property(lambda verdict: True))
    world = frozen_world(Cluster(UUID(int=1), "a"), Cluster(UUID(int=2), "b"))
    answer(world)
    world.tick()
    assert world.breaches[12]


def test_what_is_in_flight_is_judged_and_the_rest_says_until_when_it_waits() -> None:
    world = frozen_world(Cluster(UUID(int=1), "a"), Cluster(UUID(int=2), "b"))
    began = world.now
    answer(world)
    world.tick()
    rollout = world.active()[0]
    assert rollout.stages[0].succeeded == 1
    waiting = rollout.waiting_for
    assert waiting is not None
    assert waiting.reason is ReasonCode.FREEZE_ACTIVE
    assert waiting.message == "freeze freeze is in force, with 1 target of stage all waiting"
    assert (waiting.since, waiting.until) == (began, world.frozen_until)
    world.now += timedelta(minutes=9, seconds=50)
    world.tick()
    assert rollout.waiting_for is not None
    assert rollout.waiting_for.since == began
    assert rollout.look_again_at == world.frozen_until
    world.now = world.frozen_until
    world.tick()
    assert rollout.stages[0].in_flight == 1


def test_a_failure_under_a_freeze_is_rolled_back_at_once() -> None:
    bad = Cluster(UUID(int=1), "a", bad=frozenset({2}))
    world = frozen_world(bad, Cluster(UUID(int=2), "b"))
    for _ in range(4):
        answer(world)
        world.tick()
    assert world.now < world.frozen_until
    back = list(world.rollouts.values())[-1]
    assert (back.kind, back.state) == (RolloutKind.ROLLBACK, RolloutState.SUCCEEDED)
    assert bad.assigned is not None
    assert bad.assigned.revision == 1
