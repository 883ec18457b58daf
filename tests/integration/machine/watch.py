"""The invariants of design/rollouts.md, each judged from what the database says before and after.

A step may commit many times, and what came and went in between is not seen; so a limit is held
against the state after each step, and a release against what stood before and after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import Approval, OnFailure
from tests.integration.machine.snapshot import Row, Snapshot, is_failure, is_in_flight
from tests.unit.planner.worlds import budget_rule
from tests.unit.planner.worlds.budget_rule import Counted

Heard = tuple[UUID, UUID, str, int]
"""(cluster, rollout, digest, generation) of a report of Ready or Removed."""


class BrokenError(AssertionError):
    """An invariant was broken."""


@dataclass
class Watch:
    """What was seen so far of one tenant."""

    heard: set[Heard] = field(default_factory=set)
    releases: dict[UUID, list[tuple[float, float, int]]] = field(default_factory=dict)
    """For each rollout: when a step began and ended (seconds), and how many it released."""
    is_directed: bool = False
    """The next rollback that starts goes to a revision that an operator named."""
    directed: set[UUID] = field(default_factory=set)

    def check(self, before: Snapshot, after: Snapshot, began: float, ended: float) -> None:
        """Raises BrokenError with every invariant that the step broke."""
        released = list(newly_released(before, after))
        self._direct(before, after)
        self._count(released, began, ended)
        found = [
            *_places(before, after, released),
            *_gates(after),
            *_budgets(before, after, released),
            *self._reports(before, after),
            *_quarantines(before, after, released),
            *_ways_back(
                before, after, [r for r in released if r["rollout_id"] not in self.directed]
            ),
            *_counters(after),
            *self._pace(after),
            *_once(before, after),
            *_waiting(after),
            *_freezes(before, after, released),
        ]
        if found:
            raise BrokenError("; ".join(found))

    def _direct(self, before: Snapshot, after: Snapshot) -> None:
        new = [r for r in after.rollouts if r not in before.rollouts and after.kind(r) is _BACK]
        if self.is_directed:
            self.directed.update(new)
        self.is_directed = False

    def _count(self, released: list[Row], began: float, ended: float) -> None:
        for rollout_id, count in Counter(row["rollout_id"] for row in released).items():
            self.releases.setdefault(rollout_id, []).append((began, ended, count))

    def _reports(self, before: Snapshot, after: Snapshot) -> Iterator[str]:
        for key, row in after.targets.items():
            was = before.targets.get(key)
            if row["state"] != TargetState.SUCCEEDED or (was and was["state"] == row["state"]):
                continue
            said = (row["cluster_id"], row["rollout_id"], row["goal_digest"], row["generation"])
            if said not in self.heard:
                yield f"4: {said} succeeded and never said that it is ready"

    def _pace(self, after: Snapshot) -> Iterator[str]:
        for rollout_id, steps in self.releases.items():
            pace = after.strategy(rollout_id).pace
            for first, (began, _, _) in enumerate(steps):
                count = 0
                for _, ended, released in steps[first:]:
                    count += released
                    most = pace.per_minute / 60 * (ended - began) + pace.burst
                    if count > most + 1e-6:
                        yield f"9: {count} releases of {rollout_id} in {ended - began:.3f} s"


def newly_released(before: Snapshot, after: Snapshot) -> Iterator[Row]:
    """Targets that got a generation, or another one, in between."""
    for key, row in after.targets.items():
        was = before.targets.get(key)
        if row["generation"] is not None and (
            was is None or was["generation"] != row["generation"]
        ):
            yield row


def _places(before: Snapshot, after: Snapshot, released: list[Row]) -> Iterator[str]:
    used = {(row["rollout_id"], row["stage"]) for row in released}
    for (rollout_id, index), stage in after.stages.items():
        flying = sum(is_in_flight(t) for t in after.targets_of(rollout_id) if t["stage"] == index)
        strategy = after.strategy(rollout_id)
        places = budget_rule.own_places(strategy, index, stage["total"])
        if (rollout_id, index) in used and after.kind(rollout_id) is not _BACK:
            stages = _counted(before, after, rollout_id)
            places = budget_rule.places(strategy, stages, index)
        if flying > places:
            yield f"1: {flying} in flight in stage {index} of {rollout_id}, {places} allowed"


def _counted(before: Snapshot, after: Snapshot, rollout_id: UUID) -> list[Counted]:
    """The stages as generously as they may have been when the step released something."""
    found = []
    was = [before.targets.get(key) for key in after.targets if key[0] == rollout_id]
    now = after.targets_of(rollout_id)
    for stage in after.stages_of(rollout_id):
        looks = [
            budget_rule.counted(
                stage["total"],
                [TargetState(t["state"]) for t in look if t and t["stage"] == stage["stage"]],
            )
            for look in (was, now)
        ]
        new = sum(
            t["stage"] == stage["stage"]
            for t in newly_released(before, after)
            if t["rollout_id"] == rollout_id
        )
        found.append(
            Counted(
                stage["total"],
                looks[0].released + new,
                max(look.succeeded for look in looks),
            )
        )
    return found


def _gates(after: Snapshot) -> Iterator[str]:
    for (rollout_id, index), stage in after.stages.items():
        if stage["opened_at"] is None:
            if any(t["generation"] for t in after.targets_of(rollout_id) if t["stage"] == index):
                yield f"2: released in stage {index} of {rollout_id}, which is not open"
            continue
        if any(s["passed_at"] is None for s in after.stages_of(rollout_id)[:index]):
            yield f"2: stage {index} of {rollout_id} is open over one that has not passed"
        asked = after.strategy(rollout_id).stages[index].approval is Approval.REQUIRED
        if asked and stage["approved_at"] is None and after.kind(rollout_id) is not _BACK:
            yield f"2: stage {index} of {rollout_id} is open without its approval"


def _budgets(before: Snapshot, after: Snapshot, released: list[Row]) -> Iterator[str]:
    for rollout_id in {row["rollout_id"] for row in released} & set(before.rollouts):
        strategy = after.strategy(rollout_id)
        if after.kind(rollout_id) is _BACK or strategy.on_failure is OnFailure.CONTINUE:
            continue
        stages = _counted(before, after, rollout_id)
        for stage in before.stages_of(rollout_id):
            failed = sum(
                is_failure(t) for t in before.targets_of(rollout_id) if t["stage"] == stage["stage"]
            )
            forgiven = after.stages[rollout_id, stage["stage"]]["forgiven"]
            budget = budget_rule.borne(strategy, stages, stage["stage"])
            if failed - forgiven > budget:
                yield f"3: {rollout_id} released after {failed} failures of {budget}"


def _quarantines(before: Snapshot, after: Snapshot, released: list[Row]) -> Iterator[str]:
    for row in released:
        number = row["goal_revision"]
        states = (before.revisions.get(number), after.revisions.get(number))
        if not row["goal_absent"] and states == ("Quarantined", "Quarantined"):
            yield f"5: revision {number} was released and is quarantined"


def _ways_back(before: Snapshot, after: Snapshot, released: list[Row]) -> Iterator[str]:
    if before.revisions != after.revisions:
        return
    for row in released:
        if after.kind(row["rollout_id"]) is not _BACK:
            continue
        goods = before.goods.get(row["cluster_id"], [])
        if goods != after.goods.get(row["cluster_id"], []):
            continue
        usable = [number for number, _ in goods if after.revisions[number] != "Quarantined"]
        goal = None if row["goal_absent"] else row["goal_revision"]
        if goal != max(usable, default=None):
            yield f"6: {row['cluster_id']} goes back to {goal}; known good are {usable}"


def _counters(after: Snapshot) -> Iterator[str]:
    for (rollout_id, index), stage in after.stages.items():
        states = Counter(
            TargetState(t["state"]) for t in after.targets_of(rollout_id) if t["stage"] == index
        )
        counted = (
            states[TargetState.TO_APPLY],
            sum(count for state, count in states.items() if state.is_in_flight),
            states[TargetState.SUCCEEDED],
            sum(count for state, count in states.items() if state.is_failure),
            states[TargetState.SKIPPED],
        )
        names = ("to_apply", "in_flight", "succeeded", "failed", "skipped")
        kept = tuple(stage[name] for name in names)
        if counted != kept:
            yield f"8: stage {index} of {rollout_id} counts {kept}, its targets are {counted}"


def _once(before: Snapshot, after: Snapshot) -> Iterator[str]:
    for key, row in after.targets.items():
        was = before.targets.get(key)
        waited = was is None or was["state"] in (TargetState.TO_APPLY, TargetState.SKIPPED)
        again = row["generation"] is not None and was and row["generation"] != was["generation"]
        if again and not waited:
            yield f"10: {key} was released again while it was {was['state'] if was else None}"
    used = Counter(
        (row["cluster_id"], row["generation"])
        for row in after.targets.values()
        if row["generation"] is not None
    )
    for (cluster_id, generation), count in used.items():
        if count > 1:
            yield f"10: generation {generation} of {cluster_id} was released {count} times"


def _waiting(after: Snapshot) -> Iterator[str]:
    for rollout_id, row in after.rollouts.items():
        is_over = RolloutState(row["state"]).is_over
        said = row["waiting_for"]
        if said is not None and not said.get("message"):
            yield f"11: {rollout_id} is {row['state']} and says {said}"
        if is_over and said is not None:
            yield f"11: {rollout_id} is {row['state']} and still waits: {said['message']}"


def _freezes(before: Snapshot, after: Snapshot, released: list[Row]) -> Iterator[str]:
    for row in released:
        if before.frozen and after.frozen and after.kind(row["rollout_id"]) is not _BACK:
            yield f"12: {row['cluster_id']} was released while frozen"


_BACK = RolloutKind.ROLLBACK
