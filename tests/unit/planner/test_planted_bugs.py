"""The properties see: eleven planted bugs, one for each invariant, each found by its property.

A bug must break its own invariant, and the watch must not blame another one for it, but for those
that the table names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from shared.contract.states import RolloutKind, RolloutState
from shared.domain import observation
from shared.pacing import gcra
from shared.planner import gates, grant, limits, targets
from shared.planner import plan as planning
from shared.planner.decisions import Decision, Release
from shared.planner.limits import Limits
from shared.planner.view import RolloutView, StageView
from tests.unit.planner import (
    test_invariants,
    test_pace_invariants,
    test_rollback_invariants,
    test_same_end,
)
from tests.unit.planner.worlds.playing import play
from tests.unit.planner.worlds.properties import BreachError
from tests.unit.planner.worlds.scenarios import Scenario, scenarios

pytestmark = pytest.mark.timeout(900)  # thousands of worlds, on a machine that may be busy

Patch = pytest.MonkeyPatch


def quick(max_examples: int) -> settings:
    return settings(
        max_examples=max_examples,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )


@dataclass(frozen=True)
class Bug:
    """A small change that breaks one invariant, and what else breaks with it."""

    invariant: int
    plant: Callable[[Patch], None]
    also: frozenset[int] = frozenset()


def one_place_too_many(patch: Patch) -> None:
    def wider(*args: object) -> Limits:
        own = limits.limits(*args)  # type: ignore[arg-type] # passed through
        return Limits(own.concurrent + 1, own.failures)

    patch.setattr(planning, "limits", wider)


def gate_forgets_targets_in_flight(patch: Patch) -> None:
    patch.setattr(StageView, "unfinished", property(lambda stage: stage.to_apply))


def budget_off_by_one(patch: Patch) -> None:
    def late(
        kind: RolloutKind, strategy: object, stages: tuple[StageView, ...], index: int
    ) -> bool:
        lenient = [replace(s, failed=max(0, s.failed - 1)) for s in stages]
        return limits.is_over_budget(kind, strategy, lenient, index)  # type: ignore[arg-type] # passed through

    patch.setattr(gates, "is_over_budget", late)


def any_report_counts(patch: Patch) -> None:
    patch.setattr(targets, "counts", lambda view, target: target.report is not None)


def releases_without_a_look_at_quarantine(patch: Patch, *, rollbacks: bool) -> None:
    real = planning._releases

    def releases(view: RolloutView, stages: tuple[StageView, ...]) -> Iterator[Decision]:
        if (view.kind is RolloutKind.ROLLBACK) is rollbacks:
            unmarked = tuple(replace(t, goal_quarantined=False) for t in view.candidates)
            view = replace(view, candidates=unmarked)
        yield from real(view, stages)

    patch.setattr(planning, "_releases", releases)


def quarantine_is_overlooked(patch: Patch) -> None:
    real = gates.stop

    def stop(view: RolloutView, stages: tuple[StageView, ...]) -> Decision | None:
        return real(replace(view, quarantined=False), stages)

    patch.setattr(planning, "stop", stop)
    releases_without_a_look_at_quarantine(patch, rollbacks=False)


def rollback_goes_to_what_was_good_once(patch: Patch) -> None:
    releases_without_a_look_at_quarantine(patch, rollbacks=True)


def late_report_replaces_a_newer_one(patch: Patch) -> None:
    patch.setattr(observation, "is_newer", lambda observed, event, epoch: True)


def wishes_are_kept_in_memory(patch: Patch) -> None:
    real = planning._releases
    wished: Counter[object] = Counter()

    def releases(view: RolloutView, stages: tuple[StageView, ...]) -> Iterator[Decision]:
        for decision in real(view, stages):
            key = (id(view.strategy), view.rollout_id, str(decision))
            wished[key] += 1
            if wished[key] <= 2:  # asked for tokens once, released once: it must be out by now
                yield decision

    patch.setattr(planning, "_releases", releases)


def lost_bucket_is_full(patch: Patch) -> None:
    patch.setattr(gcra, "empty", gcra.full)


def tokens_release_what_was_wished_before(patch: Patch) -> None:
    real = grant.granted
    before: list[Release] = []

    def granted(decisions: tuple[Decision, ...], tokens: int) -> tuple[Decision, ...]:
        wishes = [d for d in decisions if isinstance(d, Release)]
        if not tokens:
            before[:] = wishes or before
            return real(decisions, tokens)
        others = [d for d in decisions if not isinstance(d, Release)]
        return real([*others, *before], tokens)

    patch.setattr(grant, "granted", granted)


def paused_rollout_says_nothing(patch: Patch) -> None:
    real = planning.waiting_for

    def waiting_for(view: RolloutView, *args: object) -> object:
        return None if view.state is RolloutState.PAUSED else real(view, *args)  # type: ignore[arg-type] # passed through

    patch.setattr(planning, "waiting_for", waiting_for)


ALL = test_invariants.test_every_invariant_holds_whatever_happens
PROPERTIES = {
    1: ALL,
    2: ALL,
    3: ALL,
    4: ALL,
    5: test_rollback_invariants.test_a_quarantined_revision_is_never_released,
    6: test_rollback_invariants.test_every_rollback_ends_at_each_clusters_own_last_known_good,
    7: test_same_end.test_duplicated_and_reordered_reports_do_not_change_the_end,
    8: test_same_end.test_a_crash_between_any_two_commits_does_not_change_the_end,
    9: test_pace_invariants.test_releases_in_any_window_stay_within_rate_and_burst,
    10: ALL,
    11: ALL,
}
"""Where each invariant is looked at hardest."""

BUGS = [
    Bug(1, one_place_too_many),
    Bug(2, gate_forgets_targets_in_flight, also=frozenset({3, 11})),
    Bug(3, budget_off_by_one),
    Bug(4, any_report_counts),
    Bug(5, quarantine_is_overlooked),
    Bug(6, rollback_goes_to_what_was_good_once, also=frozenset({5})),
    Bug(7, late_report_replaces_a_newer_one),
    Bug(8, wishes_are_kept_in_memory, also=frozenset({6, 11})),
    Bug(9, lost_bucket_is_full),
    Bug(10, tokens_release_what_was_wished_before, also=frozenset({1, 2, 3, 5, 6, 11})),
    Bug(11, paused_rollout_says_nothing),
]


def test_there_is_a_bug_for_each_invariant() -> None:
    assert [bug.invariant for bug in BUGS] == sorted(PROPERTIES) == list(range(1, 12))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.invariant}-{bug.plant.__name__}")
def test_property_finds_its_bug(bug: Bug, monkeypatch: Patch) -> None:
    found = PROPERTIES[bug.invariant].hypothesis  # type: ignore[attr-defined] # its handle
    property_ = found.inner_test

    def finds(scenario: Scenario) -> None:
        try:
            property_(scenario)
        except BreachError as breach:
            if bug.invariant in breach.broken:
                raise

    check = quick(600)(given(**found._given_kwargs or {})(finds))
    bug.plant(monkeypatch)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.plant.__name__)
def test_bug_breaks_nothing_else(bug: Bug, monkeypatch: Patch) -> None:
    broken: set[int] = set()

    @quick(30)
    @given(scenarios())
    def watch(scenario: Scenario) -> None:
        broken.update(n for n, found in play(scenario).breaches.items() if found)

    bug.plant(monkeypatch)
    watch()
    assert broken <= bug.also | {bug.invariant}
