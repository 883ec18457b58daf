"""The fleet's checks find what they are for: each is given a run with one planted breach."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dev.fleet.ledger import Ledger, Release, breaches, quantile
from dev.fleet.nature import character, leaves
from dev.fleet.scenario import Scenario, load, names

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCENARIO = Scenario.model_validate(
    {
        "about": "two at once",
        "strategy": {
            "stages": [
                {"name": "canary", "maxConcurrent": 1},
                {"name": "broad", "maxConcurrent": 2},
            ],
            "pace": {"perMinute": 60, "burst": 2},
        },
        "script": [{"publish": 1}],
        "expect": {"revision": 1, "clustersThatSaw": {2: 1}},
    }
)


def release(cluster: str, at: float, end: float | None, stage: int = 1) -> Release:
    return Release(
        rollout="r",
        kind="publish",
        stage=stage,
        stage_total=4,
        cluster=cluster,
        released_at=NOW + timedelta(seconds=at),
        finished_at=None if end is None else NOW + timedelta(seconds=end),
        generation=1,
    )


GOOD = [
    release("a", 0, 1, stage=0),
    release("b", 2, 4),
    release("c", 3, 5),
    release("d", 4, 6),
]


def test_a_run_as_it_must_be_has_no_breach() -> None:
    assert breaches(SCENARIO, GOOD, Ledger()) == []


def test_too_many_in_flight_are_found() -> None:
    releases = [*GOOD, release("e", 3.5, 9)]
    assert "3 targets in flight" in breaches(SCENARIO, releases, Ledger())[0]


def test_a_stage_that_began_too_early_is_found() -> None:
    releases = [replace(GOOD[0], finished_at=NOW + timedelta(seconds=2.5)), *GOOD[1:]]
    assert "began before" in breaches(SCENARIO, releases, Ledger())[0]


def test_releases_that_come_too_fast_are_found() -> None:
    releases = [release(str(n), n / 10, n / 10 + 0.05) for n in range(20)]
    assert "20 releases within 10 s" in breaches(SCENARIO, releases, Ledger())[0]


def test_a_target_released_twice_is_found() -> None:
    assert "released twice" in breaches(SCENARIO, [*GOOD, release("d", 7, 8)], Ledger())[0]


def test_a_bad_revision_seen_too_widely_is_found() -> None:
    ledger = Ledger()
    for cluster in "ab":
        ledger.hear({"e": "started", "cluster": cluster, "revision": 2, "generation": 2, "at": 0})
    assert "2 clusters saw revision 2" in breaches(SCENARIO, GOOD, ledger)[0]


def test_a_start_on_the_same_generation_twice_is_found() -> None:
    ledger = Ledger()
    for _ in range(2):
        ledger.hear({"e": "started", "cluster": "a", "revision": 1, "generation": 2, "at": 0})
    assert "started twice" in breaches(SCENARIO, GOOD, ledger)[0]


def test_quantiles_are_of_the_nearest_rank() -> None:
    assert [quantile([3, 1, 2], part) for part in (0.0, 0.5, 0.99)] == [1, 2, 3]


@pytest.mark.parametrize("name", names())
def test_every_scenario_can_be_read_and_its_fleet_is_the_same_each_time(name: str) -> None:
    scenario = load(name)
    fleet = [character(scenario, number) for number in range(50)]
    assert fleet == [character(scenario, number) for number in range(50)]
    assert fleet[0].labels["ring"] == "canary"
    assert not leaves(scenario, 0, 1.0)


def test_a_disturbance_counts_from_when_all_were_connected() -> None:
    expect = SCENARIO.expect.model_copy(update={"undisturbed": True})
    undisturbed = SCENARIO.model_copy(update={"expect": expect})
    ledger = Ledger()
    ledger.hear({"e": "stream not opened", "why": "busy"})
    ledger.all_joined()
    assert breaches(undisturbed, GOOD, ledger) == []
    for kind in ("stream not opened", "renewal failed", "heartbeat late"):
        ledger.hear({"e": kind})
    assert len(breaches(undisturbed, GOOD, ledger)) == 3
    assert breaches(SCENARIO, GOOD, ledger) == []
