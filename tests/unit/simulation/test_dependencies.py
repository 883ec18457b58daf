"""Dependencies in a simulation: clusters that lack something keep their places until it comes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.freeze import FreezeSpec
from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy
from shared.planner import blast
from shared.planner.view import Reach, StageView, TargetView
from shared.planner.windows import Window, Windows
from shared.simulation.ahead import Arrivals, Coming, arrivals
from shared.simulation.fleet import Setting, Underway
from shared.simulation.run import simulate
from tests.unit.simulation.fleets import START, setting, strategies, strategy, wait

often = settings(max_examples=50, deadline=None, derandomize=True)
MINUTE = timedelta(minutes=1)


def cluster(number: int) -> UUID:
    return UUID(int=100 + number)


def test_a_cluster_without_its_dependency_keeps_its_place_and_others_go_on() -> None:
    went = simulate(setting(6, strategy(), waits={0: [wait()], 3: [wait()]}))
    (stage,) = went.stages
    assert (went.state, went.ended_at) == (RolloutState.RUNNING, None)
    assert (stage.succeeded, stage.to_apply, stage.failed, stage.skipped) == (4, 2, 0, 0)
    assert went.got_it == {cluster(n) for n in (1, 2, 4, 5)}
    assert went.waiting_for is not None
    assert went.waiting_for.reason is ReasonCode.DEPENDENCY_NOT_READY
    assert "c0000: db is not there; c0003: db is not there" in went.waiting_for.message
    assert went.samples[-1].held == 2


def test_the_stage_after_it_stays_closed() -> None:
    stages = [{"name": "one", "maxTargets": 2, "soak": "0s"}, {"name": "two", "soak": "0s"}]
    went = simulate(setting(6, strategy(stages=stages), waits={1: [wait()]}))
    assert went.stages[1].opened_at is None
    assert went.got_it == {cluster(0)}


def test_it_goes_on_once_the_last_of_its_dependencies_has_come() -> None:
    late = {0: [wait(10 * MINUTE, "db"), wait(40 * MINUTE, "queue")]}
    went = simulate(setting(4, strategy(progressDeadline="1m"), waits=late))
    assert went.state is RolloutState.SUCCEEDED, "it waited longer than the deadline lasts"
    assert went.ended_at is not None
    assert went.ended_at - START == 40 * MINUTE + timedelta(seconds=10)
    held = [one for one in went.happenings if one.reason is ReasonCode.DEPENDENCY_NOT_READY]
    assert len(held) == 1


def test_what_never_comes_is_named_once_the_rest_has() -> None:
    waits = {0: [wait(MINUTE, "db"), wait(None, "queue")]}
    went = simulate(setting(1, strategy(), waits=waits))
    assert went.waiting_for is not None
    assert "queue is not there" in went.waiting_for.message


def test_those_that_come_in_go_by_their_positions() -> None:
    stages = [{"name": "all", "maxConcurrent": 1, "soak": "0s"}]
    late = {n: [wait(timedelta(seconds=5))] for n in (1, 3)}
    found = setting(5, strategy(stages=stages, maxFailures=0), waits=late, failing=[1])
    assert simulate(found).got_it == {cluster(0), cluster(1)}, "second in line, though it came late"


def test_a_silent_cluster_is_skipped_for_its_silence_whatever_it_lacks() -> None:
    silent = Reach(connected=False, silent_since=START)
    quick = strategy(offline={"after": "2m"})
    went = simulate(setting(3, quick, reach={0: silent}, waits={0: [wait()]}))
    assert went.state is RolloutState.SUCCEEDED
    assert went.stages[0].skipped == 1


def test_the_way_back_waits_for_nothing() -> None:
    waits = {0: [wait(MINUTE)], 3: [wait()]}
    went = simulate(setting(4, strategy(maxFailures=0), failing=[0, 1, 2], waits=waits))
    assert went.state is RolloutState.ROLLED_BACK
    assert len(went.got_it) == went.taken_back == 2


def test_windows_that_open_every_night_do_not_prolong_a_wait_without_an_end() -> None:
    nights = [{"days": ["mon", "tue"], "start": "22:00", "end": "04:00"}]
    night = Window("night", FreezeSpec.model_validate({"kind": "allow", "weekly": nights}))
    held = setting(2, strategy(windows=["night"]), windows=Windows((night,)), waits={1: [wait()]})
    went = simulate(held)
    assert went.got_it == {cluster(0)}
    assert went.samples[-1].at - START < timedelta(days=1)
    assert went.waiting_for is not None
    assert went.waiting_for.reason is ReasonCode.DEPENDENCY_NOT_READY


@often
@given(
    strategies("rollback", "pause", "continue"),
    st.integers(1, 10),
    st.dictionaries(st.integers(0, 9), st.none() | st.integers(0, 90), max_size=6),
    st.sets(st.integers(0, 9)),
)
def test_nothing_is_released_before_its_dependencies_are_there(
    plan: RolloutStrategy, count: int, minutes: dict[int, int | None], failing: set[int]
) -> None:
    waits = {
        number: [wait(None if after is None else after * MINUTE)]
        for number, after in minutes.items()
    }
    found = setting(count, plan, failing=failing, waits=waits)
    went = simulate(found)
    never = {cluster(number) for number, after in minutes.items() if after is None}
    assert not went.got_it & never
    for number, after in minutes.items():
        ready = went.ready.get(cluster(number))
        assert ready is None or after is not None
        assert ready is None or after is None or ready >= START + after * MINUTE
    totals = [sum(c.goal.stage == n for c in found.clusters) for n in range(len(plan.stages))]
    if failing >= set(range(count)):
        assert len(went.got_it) <= blast.of_everywhere(plan, totals)


def coming(
    extension: str,
    found: Setting,
    *,
    depends_on: tuple[str, ...] = (),
    kind: RolloutKind = RolloutKind.PUBLISH,
    state: RolloutState = RolloutState.RUNNING,
    in_flight: int = 0,
    flying: Mapping[str, Any] | None = None,
) -> Coming:
    """A rollout of one stage, the first targets of which are in flight since a minute."""
    released: dict[str, Any] = {
        "state": TargetState.APPLYING,
        "generation": 1,
        "released_at": START - MINUTE,
    }
    waiting: dict[str, Any] = {"state": TargetState.TO_APPLY}
    targets = tuple(
        TargetView(
            each.goal.cluster_id,
            each.goal.cluster,
            0,
            each.goal.position,
            goal_digest="new",
            reach=each.reach,
            **({**released, **(flying or {})} if n < in_flight else waiting),
        )
        for n, each in enumerate(found.clusters)
    )
    count = len(targets)
    stage = StageView(0, "all", count, count - in_flight, in_flight, opened_at=START - MINUTE)
    underway = Underway(kind, state, START - MINUTE, (stage,), targets)
    return Coming(extension, depends_on, found, underway)


def seconds(comes: Arrivals, number: int, extension: str = "db") -> Any:
    """After the start; a look and an empty bucket cost a few."""
    at = comes[cluster(number), extension]
    assert at is not None
    return pytest.approx((at - START).total_seconds(), abs=4)


def took(extension: str, name: str) -> timedelta:
    return timedelta(seconds=90)


def test_a_rollout_under_way_brings_it_in_its_own_time() -> None:
    """Two are in flight for a minute, of the minute and a half that each takes."""
    comes = arrivals([coming("db", setting(4, strategy()), in_flight=2)], took)
    assert [seconds(comes, n) for n in range(4)] == [30, 30, 120, 120], "by twos"


def test_what_soaks_is_ready_already() -> None:
    since = {"state": TargetState.VERIFYING, "ready_since": START - timedelta(seconds=10)}
    comes = arrivals([coming("db", setting(1, strategy()), in_flight=1, flying=since)], took)
    assert seconds(comes, 0) == -10


def test_a_paused_rollout_brings_only_what_is_in_flight() -> None:
    paused = coming("db", setting(4, strategy()), in_flight=2, state=RolloutState.PAUSED)
    comes = arrivals([paused], took)
    assert [comes[cluster(n), "db"] is None for n in range(4)] == [False, False, True, True]


def test_a_forward_rollout_goes_on_after_the_rollback_before_it() -> None:
    back = coming("db", setting(2, strategy()), kind=RolloutKind.ROLLBACK)
    comes = arrivals([coming("db", setting(4, strategy())), back], took)
    assert seconds(comes, 3) == 90 + 2 * 90


def test_what_a_rollout_depends_on_itself_comes_before_it() -> None:
    app = coming("db", setting(2, strategy(), waits={1: [wait(name="disk")]}),
                 depends_on=("disk",))  # fmt: skip
    disk = coming("disk", setting(2, strategy()))
    comes = arrivals([app, disk], took)
    assert [seconds(comes, n) for n in range(2)] == [90, 180]
    assert arrivals([app], took)[cluster(1), "db"] is None


def test_a_dependency_that_does_not_get_ready_in_time_is_taken_back_and_never_comes() -> None:
    hasty = coming("db", setting(2, strategy(progressDeadline="20s")))
    assert arrivals([hasty], took) == {(cluster(0), "db"): None, (cluster(1), "db"): None}


def test_removals_bring_nothing() -> None:
    found = coming("db", setting(1, strategy()), in_flight=1, flying={"goal_absent": True})
    assert arrivals([found], took)[cluster(0), "db"] is None
