"""Who waits for release in a simulated rollout: those that could be released, and those held up.

Three places for each target that waits: in line in its stage; held, because its cluster lacks
another extension; out of reach, because its cluster cannot act. Time alone takes it from the
latter two to the first.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from shared.contract.states import TargetState
from shared.planner.view import TargetView
from shared.simulation.fleet import SimulatedCluster


@dataclass
class Queues:
    """Targets by what is in their way; `targets` is the rollout's own mapping."""

    clusters: Mapping[UUID, SimulatedCluster]
    targets: Mapping[UUID, TargetView]
    anyone: bool
    """A rollback: it is released to clusters that cannot act, and to those that lack something."""
    in_line: list[list[tuple[int, UUID]]] = field(default_factory=list)
    """For each stage, by position."""
    held: list[dict[UUID, None]] = field(default_factory=list)
    """For each stage, those whose cluster lacks something."""
    out_of_reach: dict[UUID, None] = field(default_factory=dict)
    """Also targets that were skipped on clusters that come back."""
    _arrivals: list[tuple[datetime, UUID]] = field(default_factory=list)
    """When something that held ones lack comes."""

    @classmethod
    def of_stages(
        cls,
        count: int,
        clusters: Mapping[UUID, SimulatedCluster],
        targets: Mapping[UUID, TargetView],
        *,
        anyone: bool,
    ) -> Queues:
        """Empty ones for so many stages."""
        made = cls(clusters, targets, anyone)
        made.in_line = [[] for _ in range(count)]
        made.held = [{} for _ in range(count)]
        return made

    def put(self, target: TargetView, now: datetime) -> None:
        """A target that is to be released, to where it belongs at `now`."""
        self.leave(target)
        cluster = self.clusters[target.cluster_id]
        if not self.anyone and not target.reach.can_act(now):
            self.out_of_reach[target.cluster_id] = None
        elif not self.anyone and cluster.lacks(now) is not None:
            self.held[target.stage][target.cluster_id] = None
            arrival = cluster.next_arrival(now)
            if arrival is not None:
                heapq.heappush(self._arrivals, (arrival, target.cluster_id))
        else:
            insort(self.in_line[target.stage], (target.position, target.cluster_id))

    def leave(self, target: TargetView) -> None:
        """It waits no more."""
        self.out_of_reach.pop(target.cluster_id, None)
        self.held[target.stage].pop(target.cluster_id, None)
        line, place = self.in_line[target.stage], (target.position, target.cluster_id)
        index = bisect_left(line, place)
        if index < len(line) and line[index] == place:
            del line[index]

    def let_in(self, now: datetime) -> None:
        """Clusters that can act again, or lack nothing any more, take their places."""
        for cluster_id in list(self.out_of_reach):
            target = self.targets[cluster_id]
            if target.state is TargetState.TO_APPLY and target.reach.can_act(now):
                self.put(target, now)
        while self._arrivals and self._arrivals[0][0] <= now:
            target = self.targets[heapq.heappop(self._arrivals)[1]]
            if target.cluster_id in self.held[target.stage]:
                self.put(target, now)

    def first(self, stage: int, count: int) -> Iterator[TargetView]:
        """The first ones in line."""
        return (self.targets[cluster_id] for _, cluster_id in self.in_line[stage][:count])

    def lacking(self, stages: Sequence[int], count: int, now: datetime) -> Iterator[TargetView]:
        """Some of each stage that are held, with what their clusters lack."""
        for stage in stages:
            for cluster_id in islice(self.held[stage], count):
                lack = self.clusters[cluster_id].lacks(now)
                yield replace(self.targets[cluster_id], lacks=lack)

    def away(self, stages: Sequence[int], state: TargetState) -> Iterator[TargetView]:
        """Those of the stages in this state whose cluster could not act."""
        found = (self.targets[cluster_id] for cluster_id in self.out_of_reach)
        return (t for t in found if t.state is state and t.stage in stages)

    def next_moment(self, now: datetime, offline_after: timedelta) -> datetime | None:
        """When time alone changes something about those that wait."""
        moments = [self._arrivals[0][0]] if self._arrivals else []
        for target in (self.targets[cluster_id] for cluster_id in self.out_of_reach):
            if target.reach.not_now_until is not None:
                moments.append(target.reach.not_now_until)
            silent = target.reach.silent_since
            if target.state is TargetState.TO_APPLY and silent is not None:
                moments.append(silent + offline_after)
        return min((moment for moment in moments if moment > now), default=None)
