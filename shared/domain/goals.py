"""What a rollout of one revision means for each cluster: where it goes, in which stage, or why not.

One pure function for publishing, planning, placement and removal, so that the plan an operator saw
is the rollout that follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.contract.extension import ExtensionSpec
from shared.domain.resolve import Resolved, Resolver
from shared.domain.stages import Member, arrange, in_order


@dataclass(frozen=True, slots=True)
class Standing:
    """A cluster, and what is desired of the extension there now."""

    member: Member
    revision: int = 0
    """0: absent."""
    digest: str | None = None
    """Of the resolved spec; None for absent."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Where one cluster goes."""

    cluster_id: UUID
    cluster: str
    stage: int
    position: int
    revision: int
    """For a removal the revision that is there."""
    digest: str
    """Of the resolved spec; for a removal of the one that is there."""
    absent: bool
    previous: int
    """The revision that is desired now; 0 for absent."""
    held: str | None = None
    """The digest that is desired now."""


@dataclass(frozen=True, slots=True)
class Goals:
    """The targets in release order, the specs they need, and the clusters left out with the why."""

    targets: tuple[Goal, ...]
    specs: dict[str, Resolved]
    left_out: tuple[tuple[str, str], ...]


def goals(
    spec: ExtensionSpec,
    revision: int,
    standings: Iterable[Standing],
    *,
    only_changed: bool = False,
    removing: bool = False,
) -> Goals:
    """The goals of a rollout of `revision`.

    Clusters under the placement get the revision; those that have the extension and are not under
    it any more lose it, as all do when `removing`. `only_changed` leaves clusters out whose
    resolved spec is the one they have.
    """
    resolver = Resolver(spec)
    joining: list[Standing] = []
    leaving: list[Standing] = []
    left_out: list[tuple[str, str]] = []
    for standing in standings:
        member = standing.member
        if not removing and spec.placement.selects(member.name, dict(member.labels)):
            if only_changed and resolver.resolve(member.labels).digest == standing.digest:
                left_out.append(
                    (member.name, f"has this content since revision {standing.revision}")
                )
            else:
                joining.append(standing)
        elif standing.digest is not None:
            leaving.append(standing)
    return _place(spec, revision, resolver, joining, leaving, left_out)


def _place(
    spec: ExtensionSpec,
    revision: int,
    resolver: Resolver,
    joining: Sequence[Standing],
    leaving: Sequence[Standing],
    left_out: list[tuple[str, str]],
) -> Goals:
    known = {s.member.cluster_id: s for s in (*joining, *leaving)}
    goes = {s.member.cluster_id for s in leaving}
    arrangement = arrange(spec.rollout, (s.member for s in known.values()))
    placed = [(p.member, p.stage) for p in arrangement.placed]
    last = len(spec.rollout.stages) - 1
    for member in in_order(spec.rollout, arrangement.left_out):
        if member.cluster_id in goes:
            placed.append((member, last))
        else:
            left_out.append((member.name, "no stage of the strategy takes it"))
    targets: list[Goal] = []
    specs: dict[str, Resolved] = {}
    for position, (member, stage) in enumerate(placed):
        standing = known[member.cluster_id]
        if member.cluster_id in goes:
            goal = _removal(standing, stage, position)
        else:
            resolved = resolver.resolve(member.labels)
            specs[resolved.digest] = resolved
            goal = _arrival(standing, stage, position, revision, resolved.digest)
        targets.append(goal)
    return Goals(tuple(targets), specs, tuple(sorted(left_out)))


def _arrival(standing: Standing, stage: int, position: int, revision: int, digest: str) -> Goal:
    member = standing.member
    return Goal(
        member.cluster_id,
        member.name,
        stage,
        position,
        revision,
        digest,
        absent=False,
        previous=standing.revision,
        held=standing.digest,
    )


def _removal(standing: Standing, stage: int, position: int) -> Goal:
    member = standing.member
    return Goal(
        member.cluster_id,
        member.name,
        stage,
        position,
        standing.revision,
        standing.digest or "",
        absent=True,
        previous=standing.revision,
        held=standing.digest,
    )
