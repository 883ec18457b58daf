"""Random scenarios: a fleet, a strategy, and a list of things that happen in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from hypothesis import strategies as st

from shared.contract.states import ExtensionPhase, RolloutKind, RolloutState
from shared.contract.strategy import RolloutStrategy
from tests.unit.planner.world import Cluster, World

Step = tuple[str, int, int]


@dataclass(frozen=True)
class Scenario:
    """Revision 1 goes out undisturbed, then revision 2 while `steps` happen, then all settles."""

    fleet: tuple[tuple[frozenset[int], frozenset[int]], ...]
    """For each cluster the revisions that fail there, and those it never finishes."""
    strategy: RolloutStrategy
    steps: tuple[Step, ...]

    def world(self) -> World:
        return World(
            [
                Cluster(UUID(int=1000 + n), f"c{n}", bad, mute)
                for n, (bad, mute) in enumerate(self.fleet)
            ]
        )


COUNTS = st.sampled_from([1, 2, "50%", "100%"])
BUDGETS = st.sampled_from([0, 0, 1, "50%"])


def strategies_with(
    on_failure: tuple[str, ...], approvals: bool
) -> st.SearchStrategy[RolloutStrategy]:
    """Strategies of one to three stages."""
    approval = st.sampled_from(["none", "none", "required"] if approvals else ["none"])
    stage = st.fixed_dictionaries(
        {"maxConcurrent": COUNTS, "soak": st.sampled_from(["0s", "2m"]), "approval": approval}
    )
    capped = st.tuples(stage, st.integers(1, 2)).map(lambda s: {**s[0], "maxTargets": s[1]})
    stages = st.tuples(st.lists(capped, max_size=2), stage).map(
        lambda s: [{"name": f"s{n}", **one} for n, one in enumerate([*s[0], s[1]])]
    )
    pace = st.sampled_from(
        [
            {"perMinute": 6000, "burst": 100},
            {"perMinute": 60, "burst": 2},
            {"perMinute": 6, "burst": 1},
            {"perMinute": 60, "burst": 2, "mode": "adaptive", "minPerMinute": 4},
        ]
    )
    return st.fixed_dictionaries(
        {
            "stages": stages,
            "maxFailures": BUDGETS,
            "onFailure": st.sampled_from(on_failure),
            "pace": pace,
        }
    ).map(RolloutStrategy.model_validate)


WILD = (
    "act", "act", "act", "deliver", "deliver", "deliver", "again", "stale", "reconnect", "offline",
    "online", "not_now", "gone", "wait", "wait", "tick", "tick", "two", "crash", "pause", "resume",
    "approve", "quarantine", "rollback", "publish", "lose_tokens", "sick", "recover",
)  # fmt: skip
NOISE = ("act", "act", "deliver", "deliver", "again", "tick")
QUARANTINES = ("act", "deliver", "tick", "tick", "two", "wait", "quarantine", "rollback", "publish")
ROLLBACKS = (
    "act",
    "deliver",
    "tick",
    "wait",
    "rollback",
    "quarantine",
    "offline",
    "online",
    "gone",
)
LOSSES = ("act", "deliver", "tick", "tick", "lose_tokens", "wait", "two", "crash")
CRASHES = ("act", "act", "deliver", "deliver", "tick", "crash", "crash")


def scenarios(
    kinds: tuple[str, ...] = WILD,
    *,
    on_failure: tuple[str, ...] = ("rollback", "rollback", "pause", "continue"),
    mute: bool = True,
    approvals: bool = True,
) -> st.SearchStrategy[Scenario]:
    """Scenarios whose steps are of these kinds."""
    # one cluster on which the first revision fails takes it from all: then nothing is known good
    few = [(), (), (), (2,), (2,), (2,), (2,), (3,), (3,), (2, 3), (2, 3), (1, 2)]
    revisions = st.sampled_from([frozenset(one) for one in few])
    silent = st.frozensets(st.just(2), max_size=1) if mute else st.just(frozenset[int]())
    step = st.tuples(st.sampled_from(kinds), st.integers(0, 5), st.integers(0, 5))
    return st.builds(
        Scenario,
        st.lists(st.tuples(revisions, silent), min_size=2, max_size=6).map(tuple),
        strategies_with(on_failure, approvals),
        # lists left to themselves mostly have five items
        st.sampled_from([4, 10, 20, 30])
        .flatmap(lambda n: st.lists(step, min_size=n, max_size=n))
        .map(tuple),
    )


def play(scenario: Scenario, *, skip: tuple[str, ...] = ()) -> World:
    """The world after the scenario, with `skip` kinds of steps left out."""
    world = scenario.world()
    world.publish(1, scenario.strategy)
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


def _on_active(act: Callable[[World, object], None]) -> Callable[..., None]:
    def step(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
        for rollout in world.active():
            act(world, rollout)

    return step


def _pause(world: World, rollout: object) -> None:
    if rollout.kind is not RolloutKind.ROLLBACK:  # type: ignore[attr-defined] # a Rollout
        rollout.state = RolloutState.PAUSED  # type: ignore[attr-defined] # a Rollout


def _quarantine(world: World, scenario: Scenario, cluster: Cluster, number: int) -> None:
    world.quarantined.add((2, 2, 2, 1, 1, 3)[number])


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


_STEPS: dict[str, Callable[[World, Scenario, Cluster, int], None]] = {
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
    "tick": lambda world, scenario, cluster, number: world.tick() and None,
    "two": lambda world, scenario, cluster, number: world.tick_twice(),
    "crash": lambda world, scenario, cluster, number: world.tick(crash_after=number) and None,
    "pause": _on_active(_pause),
    "resume": _on_active(World.resume),  # type: ignore[arg-type] # a Rollout
    "approve": _on_active(World.approve),  # type: ignore[arg-type] # a Rollout
    "quarantine": _quarantine,
    "rollback": lambda world, scenario, cluster, number: world.one_click(),
    "publish": _publish,
    "lose_tokens": lambda world, scenario, cluster, number: world.tokens.lose_all(),
    "sick": _sick,
    "recover": _recover,
    "freeze": _freeze,
    "lag": _lag,
}
