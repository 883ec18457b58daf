"""Playing a scenario: what each kind of step does to the world."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from shared.contract.states import ExtensionPhase, RolloutKind, RolloutState
from tests.unit.planner.worlds.fleet import Cluster
from tests.unit.planner.worlds.scenarios import Scenario, at_once
from tests.unit.planner.worlds.state import Rollout
from tests.unit.planner.worlds.world import World

StepOf = Callable[[World, Scenario, Cluster, int], None]


def play(scenario: Scenario, *, skip: tuple[str, ...] = ()) -> World:
    """The world after the scenario, with `skip` kinds of steps left out."""
    world = scenario.world()
    world.publish(1, at_once(scenario.strategy))
    world.settle()
    world.publish(2, scenario.strategy)
    for kind, one, two in scenario.steps:
        if kind not in skip:
            cluster = list(world.clusters.values())[one % len(world.clusters)]
            _STEPS[kind](world, scenario, cluster, two)
    world.settle()
    world.check_pace()
    world.check_ended()
    return world


def _act(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    cluster.act(world.now)


def _deliver(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    if cluster.journal and cluster.connected:
        event = cluster.journal.pop(number % len(cluster.journal))
        world.receive(cluster, cluster.epoch, event)


def _again(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    if cluster.delivered:
        _, event = cluster.delivered[number % len(cluster.delivered)]
        world.receive(cluster, cluster.epoch, event)


def _stale(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    if cluster.delivered:
        epoch, event = cluster.delivered[number % len(cluster.delivered)]
        world.receive(cluster, epoch, event)


def _reconnect(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    cluster.epoch += 1
    cluster.connected, cluster.silent_since = True, None


def _offline(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    if cluster.connected:
        cluster.connected, cluster.silent_since = False, world.now


def _not_now(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    cluster.not_now_until = world.now + timedelta(minutes=number * 5)


def _gone(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    cluster.gone = cluster.gone or number == 0


def _wait(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    world.now += timedelta(seconds=(1, 5, 30, 120, 300, 900)[number])


def _on_active(act: Callable[[World, Rollout], None]) -> StepOf:
    def step(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
        for rollout in world.active():
            act(world, rollout)

    return step


def _pause(world: World, rollout: Rollout) -> None:
    if rollout.kind is not RolloutKind.ROLLBACK:
        rollout.state = RolloutState.PAUSED


def _quarantine(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    world.quarantined.add((2, 2, 2, 1, 1, 3)[number])


def _doubt(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    """What a rollback is on its way to is found to be bad as well."""
    for rollout in world.active():
        if rollout.kind is RolloutKind.ROLLBACK:
            world.quarantined.add(1)


def _publish(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    if 3 not in world.quarantined and world.newest < 3:
        world.publish(3, scenario.strategy)


def _sick(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    assigned = cluster.assigned
    if assigned and cluster.said.get(assigned.generation) is ExtensionPhase.READY:
        cluster.say(ExtensionPhase.FAILED)


def _recover(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    assigned = cluster.assigned
    if assigned and cluster.said.get(assigned.generation) is ExtensionPhase.FAILED:
        cluster.say(ExtensionPhase.READY)


def _freeze(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    world.frozen_until = world.now + timedelta(minutes=(0, 1, 5, 10, 30, 60)[number])


def _lag(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    world.lag_seconds = (0.0, 0.0, 5.0, 16.0, 60.0, 3600.0)[number]


def _tick(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    world.tick()


def _crash(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    world.tick(crash_after=number)


_STEPS: dict[str, StepOf] = {
    "act": _act,
    "deliver": _deliver,
    "again": _again,
    "stale": _stale,
    "reconnect": _reconnect,
    "offline": _offline,
    "online": _reconnect,
    "not_now": _not_now,
    "gone": _gone,
    "wait": _wait,
    "tick": _tick,
    "two": lambda world, scenario, cluster, number: world.tick_twice(),
    "crash": _crash,
    "pause": _on_active(_pause),
    "resume": _on_active(World.resume),
    "approve": _on_active(World.approve),
    "quarantine": _quarantine,
    "doubt": _doubt,
    "rollback": lambda world, scenario, cluster, number: world.one_click(),
    "publish": _publish,
    "lose_tokens": lambda world, scenario, cluster, number: world.tokens.lose_all(),
    "sick": _sick,
    "recover": _recover,
    "freeze": _freeze,
    "lag": _lag,
}
