"""The watch judges by the rule of ADR 0015: fleets that are large enough for it to matter.

The random worlds have five clusters at most, where a budget in percent is what it was before it had
to be earned. Here all clusters fail, one after the other, and the watch must see who goes too far.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.contract.states import RolloutKind
from shared.contract.strategy import RolloutStrategy
from shared.planner import gates, limits
from shared.planner import plan as planning
from shared.planner.limits import Limits
from shared.planner.view import StageView
from tests.unit.planner.worlds import budget_rule
from tests.unit.planner.worlds.budget_rule import Counted
from tests.unit.planner.worlds.playing import play
from tests.unit.planner.worlds.scenarios import Scenario, Step
from tests.unit.planner.worlds.world import World

Patch = pytest.MonkeyPatch
SECOND_FAILS = (frozenset({2}), frozenset[int]())


def strategy(*stages: dict[str, object], failures: int | str) -> RolloutStrategy:
    declared = [{"name": f"s{n}", "soak": "0s", **stage} for n, stage in enumerate(stages)]
    return RolloutStrategy.model_validate(
        {
            "stages": declared,
            "maxFailures": failures,
            "onFailure": "rollback",
            "pace": {"perMinute": 6000, "burst": 100},
            "progressDeadline": "3m",
            "offline": {"after": "2m"},
        }
    )


def played(fleet: int, declared: RolloutStrategy, steps: tuple[Step, ...] = ()) -> World:
    return play(Scenario((SECOND_FAILS,) * fleet, declared, steps))


def broken(world: World) -> set[int]:
    return {number for number, found in world.breaches.items() if found}


EARNED = strategy({"maxConcurrent": 1}, failures="30%")
"""Of 30 clusters 9 in all; but only 5 and 3 by the time when 9 were released."""


def whole_share_at_once(patch: Patch) -> None:
    patch.setattr(limits, "borne", lambda strategy, index, failures, released: failures)


def one_failure_more(patch: Patch) -> None:
    """Up to the whole share."""
    real = limits.borne

    def lenient(declared: RolloutStrategy, index: int, failures: int, released: int) -> int:
        return min(failures, real(declared, index, failures, released) + 1)

    patch.setattr(limits, "borne", lenient)


def test_a_fleet_that_fails_is_stopped_by_what_it_has_earned() -> None:
    world = played(30, EARNED)
    assert broken(world) == set()
    assert sum(2 in c.bad and len(c.said) > 1 for c in world.clusters.values()) == 9


@pytest.mark.parametrize("plant", [whole_share_at_once, one_failure_more])
def test_the_watch_sees_a_budget_that_was_not_earned(
    plant: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    plant(monkeypatch)
    assert 3 in broken(played(30, EARNED))


NARROW = strategy({"maxConcurrent": 1, "maxTargets": 1}, {"maxConcurrent": "100%"}, failures=1)
CANARY_IS_SILENT: tuple[Step, ...] = (("offline", 0, 0), ("wait", 0, 4), ("tick", 0, 0))


def test_a_stage_after_a_skipped_canary_is_as_narrow_as_the_canary() -> None:
    assert broken(played(5, NARROW, (*CANARY_IS_SILENT, ("tick", 0, 0)))) == set()


def test_the_watch_sees_a_stage_that_forgets_it(monkeypatch: Patch) -> None:
    def own(
        kind: RolloutKind, declared: RolloutStrategy, stages: tuple[StageView, ...], index: int
    ) -> Limits:
        return limits.declared(declared, index, stages[index].total)

    monkeypatch.setattr(planning, "limits", own)
    monkeypatch.setattr(gates, "limits", own)
    assert 1 in broken(played(5, NARROW, (*CANARY_IS_SILENT, ("tick", 0, 0))))


@pytest.mark.parametrize(
    ("failures", "total", "released", "borne"),
    [
        ("2%", 10_000, 0, 6),
        ("2%", 10_000, 40, 6),
        ("2%", 10_000, 51, 7),
        ("2%", 10_000, 10_000, 200),
        ("2%", 250, 250, 5),
        ("30%", 30, 9, 8),
        ("0%", 1_000, 1_000, 0),
        (3, 10_000, 0, 3),
    ],
)
def test_the_rule_is_the_one_of_the_record(
    failures: int | str, total: int, released: int, borne: int
) -> None:
    """Figures by hand, from ADR 0015: neither from the planner nor from its tests."""
    declared = strategy({"maxConcurrent": 1}, failures=failures)
    stage = Counted(total, released, succeeded=1)
    assert budget_rule.borne(declared, [stage], 0) == borne
