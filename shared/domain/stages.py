"""Which cluster stands in which stage, and in which order they are released.

A pure function of the strategy and the clusters, so that a plan shown to an operator and the
rollout that follows are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from shared.contract.strategy import RolloutStrategy, Stage


@dataclass(frozen=True, slots=True)
class Member:
    """A cluster as stages see it."""

    cluster_id: UUID
    name: str
    labels: Mapping[str, str]
    reachable: bool = True
    is_held: bool = False
    """Something that the extension depends on is not ready there: it would wait for that."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A cluster with its stage and its place in the release order of the whole rollout."""

    member: Member
    stage: int
    position: int


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Every cluster that a stage takes, in release order, and those that no stage takes."""

    placed: tuple[Placed, ...]
    left_out: tuple[Member, ...]


def arrange(strategy: RolloutStrategy, members: Iterable[Member]) -> Arrangement:
    """Give each cluster to the first stage that takes it.

    A stage with `maxTargets` takes clusters that can be reached before those that cannot, and then
    those that need not wait for a dependency: a canary that is switched off, or waits, proves
    nothing, and holds up clusters that could go.
    """
    left = in_order(strategy, members)
    placed: list[Placed] = []
    for number, stage in enumerate(strategy.stages):
        taken = _takes(stage, left)
        gone = {member.cluster_id for member in taken}
        left = [member for member in left if member.cluster_id not in gone]
        first = len(placed)
        placed += [Placed(member, number, first + i) for i, member in enumerate(taken)]
    return Arrangement(tuple(placed), tuple(left))


def in_order(strategy: RolloutStrategy, members: Iterable[Member]) -> list[Member]:
    """The clusters by the strategy's order; clusters without a label it names come last."""

    def key(member: Member) -> tuple[tuple[bool, str], ...]:
        parts = []
        for part in strategy.order:
            if part == "name":
                parts.append((False, member.name))
            else:
                label = member.labels.get(part.removeprefix("label:"))
                parts.append((label is None, label or ""))
        return (*parts, (False, member.name))

    return sorted(members, key=key)


def _takes(stage: Stage, ordered: list[Member]) -> list[Member]:
    matching = [m for m in ordered if stage.match is None or stage.match.matches(dict(m.labels))]
    if stage.max_targets is None:
        return matching
    useful_first = sorted(matching, key=lambda member: (not member.reachable, member.is_held))
    chosen = {member.cluster_id for member in useful_first[: stage.max_targets]}
    return [member for member in matching if member.cluster_id in chosen]
