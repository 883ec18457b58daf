"""A rollout in virtual time: by the production planner, and held to what it promises."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.freeze import FreezeSpec
from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutState
from shared.contract.strategy import RolloutStrategy
from shared.planner import blast
from shared.planner import plan as planning
from shared.planner.view import Reach
from shared.planner.windows import Window, Windows
from shared.simulation import run
from shared.simulation.draws import ApplyTimes, apply_time, chosen
from shared.simulation.record import Simulated
from shared.simulation.run import simulate
from tests.unit.simulation.fleets import START, setting, strategies, strategy

often = settings(max_examples=80, deadline=None, derandomize=True)


def seconds(simulated: Simulated) -> float:
    assert simulated.ended_at is not None
    return (simulated.ended_at - simulated.started_at).total_seconds()


def test_the_planner_is_productions_own() -> None:
    assert run.plan is planning.plan


def test_places_decide_how_long_it_takes() -> None:
    went = simulate(setting(10, strategy()))
    assert went.state is RolloutState.SUCCEEDED
    assert seconds(went) == pytest.approx(5 * 10, abs=6), "by twos, and a second to look"
    assert max(sample.in_flight for sample in went.samples) == 2


def test_the_pace_decides_where_it_is_slower() -> None:
    slow = strategy(pace={"perMinute": 6, "burst": 1}, stages=[{"name": "a", "soak": "0s",
                    "maxConcurrent": "100%"}])  # fmt: skip
    assert seconds(simulate(setting(10, slow))) == pytest.approx(9 * 10 + 10, abs=6)


def test_a_thousand_clusters_cost_looks_not_clusters_times_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = Counter[str]()
    real = planning.plan

    def counted(*args: Any) -> Any:
        looks["plan"] += 1
        return real(*args)

    monkeypatch.setattr(run, "plan", counted)
    went = simulate(setting(1_000, RolloutStrategy()))
    assert went.stages[-1].succeeded == 999
    assert looks["plan"] < 5_000


def test_a_failed_canary_is_all_that_fails() -> None:
    went = simulate(setting(50, RolloutStrategy(), failing=range(50)))
    assert went.state is RolloutState.ROLLED_BACK
    assert len(went.got_it) == went.taken_back == went.got_it_at_first_failure == 1


def test_a_fault_in_a_large_fleet_is_stopped_by_the_first_that_show_it() -> None:
    """The whole stage may lose 20; they would be there after 400 clusters."""
    went = simulate(setting(1_000, RolloutStrategy(), failing=range(10, 1_000, 20)))
    assert went.state is RolloutState.ROLLED_BACK
    assert 100 < len(went.got_it) <= 300
    within = simulate(setting(1_000, RolloutStrategy(), failing=range(10, 1_000, 100)))
    assert within.state is RolloutState.SUCCEEDED


def test_failures_within_the_budget_go_back_alone() -> None:
    went = simulate(setting(10, strategy(maxFailures=2), failing=[3, 7]))
    assert (went.state, went.taken_back) == (RolloutState.SUCCEEDED, 2)


def test_a_pause_is_waited_in_until_somebody_comes() -> None:
    went = simulate(setting(10, strategy(maxFailures=0, onFailure="pause"), failing=[0]))
    assert (went.state, went.ended_at) == (RolloutState.PAUSED, None)
    assert went.waiting_for is not None
    assert went.waiting_for.reason is ReasonCode.FAILURE_BUDGET_EXCEEDED


def test_apply_times_beyond_the_deadline_fail_it() -> None:
    went = simulate(setting(4, strategy(progressDeadline="5s"), apply_seconds=30))
    assert went.stages[0].failed == 2
    assert went.state is RolloutState.FAILED, "and the way back takes as long"


def test_silent_clusters_are_skipped_after_their_time_and_others_go_on() -> None:
    went = simulate(setting(6, strategy(offline={"after": "2m"}), silent=[0, 1]))
    assert went.state is RolloutState.SUCCEEDED
    assert went.stages[0].skipped == 2
    assert seconds(went) == pytest.approx(120, abs=2)


def test_a_cluster_that_wants_peace_is_taken_up_after_it() -> None:
    peace = Reach(not_now_until=START + timedelta(seconds=15))
    went = simulate(setting(4, strategy(), reach={0: peace}))
    assert went.stages[0].succeeded == 4


def test_windows_hold_it_and_the_timeline_says_so() -> None:
    opens = START + timedelta(hours=2)
    night = Window("night", FreezeSpec.model_validate({"kind": "allow", "startsAt": opens}))
    went = simulate(setting(4, strategy(windows=["night"]), windows=Windows((night,))))
    assert went.state is RolloutState.SUCCEEDED
    assert seconds(went) == pytest.approx(2 * 3600 + 20, abs=4)
    said = [one.message for one in went.happenings]
    assert any("night is closed" in message for message in said)
    assert "nothing holds releases any more" in said


def test_a_window_that_does_not_exist_is_waited_for_without_an_end() -> None:
    went = simulate(setting(4, strategy(windows=["x"]), windows=Windows(missing=("x",))))
    assert (went.state, went.ended_at) == (RolloutState.RUNNING, None)
    assert went.waiting_for is not None
    assert went.waiting_for.reason is ReasonCode.WINDOW_CLOSED


def test_an_adaptive_pace_slows_down_by_failures() -> None:
    pace = {"perMinute": 60, "burst": 1, "mode": "adaptive"}
    stages = [{"name": "a", "soak": "0s", "maxConcurrent": "100%"}]
    adaptive = strategy(pace=pace, stages=stages, onFailure="continue")
    went = simulate(setting(60, adaptive, failing=range(0, 60, 4)))
    assert ReasonCode.SLOWED_BY_FAILURES in {one.reason for one in went.happenings}
    assert seconds(went) > 60 + 10


@often
@given(strategies("rollback", "pause", "continue"), st.integers(1, 12))
def test_a_revision_that_fails_everywhere_stays_within_the_blast_radius(
    plan: RolloutStrategy, count: int
) -> None:
    found = setting(count, plan, failing=range(count), silent=range(0, count, 3))
    totals = [sum(c.goal.stage == n for c in found.clusters) for n in range(len(plan.stages))]
    went = simulate(found)
    assert len(went.got_it) <= blast.of_everywhere(plan, totals)


@often
@given(
    strategies("rollback", "continue"),
    st.integers(1, 12),
    st.sets(st.integers(0, 11)),
    st.sets(st.integers(0, 11)),
)
def test_every_simulation_ends_and_its_numbers_add_up(
    plan: RolloutStrategy, count: int, failing: set[int], silent: set[int]
) -> None:
    went = simulate(setting(count, plan, failing=failing, silent=silent))
    assert went.ended_at is not None
    for stage in went.stages:
        done = stage.succeeded + stage.failed + stage.skipped + stage.unfinished
        assert done == stage.total
    assert all(one.at < two.at and one.got_it <= two.got_it for one, two in pairwise(went.samples))


def test_draws_do_not_depend_on_the_rest_of_the_fleet() -> None:
    few, many = [f"c{n}" for n in range(100)], [f"c{n}" for n in range(200)]
    assert chosen(1, "fails", few, "5%") == chosen(1, "fails", reversed(few), "5%")
    assert len(chosen(1, "fails", many, "5%")) == 10
    assert len(chosen(1, "fails", ["only"], "1%")) == 1, "a percentage is one at least"
    assert chosen(1, "fails", few, "5%") != chosen(2, "fails", few, "5%")


def test_apply_times_have_the_quantiles_that_were_asked_for() -> None:
    times = sorted(apply_time(3, f"c{n}", ApplyTimes(20, 60)).total_seconds() for n in range(2_000))
    assert times[1_000] == pytest.approx(20, rel=0.1)
    assert times[1_900] == pytest.approx(60, rel=0.15)
