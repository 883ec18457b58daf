"""What the database and the agents say of a run, and what of it must not be. Pure.

The checks are those invariants of a rollout that can be seen from outside: how many were in flight,
which stage came when, how fast it went, that nobody was released twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from dev.fleet.scenario import Scenario
from shared.planner.limits import count_of

PACE_WINDOW_SECONDS = 10.0
QUANTILES = (0.5, 0.99)


@dataclass(frozen=True)
class Release:
    """One target that was released, as the database has it."""

    rollout: str
    kind: str
    stage: int
    stage_total: int
    cluster: str
    released_at: datetime
    finished_at: datetime | None
    generation: int


@dataclass
class Ledger:
    """All that was seen."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Leg -> seconds."""
    counts: Counter[str] = field(default_factory=Counter)
    while_joining: Counter[str] = field(default_factory=Counter)
    """The counts when all were connected for the first time: a machine that joins a thousand agents
    at once is busy, and that is no disturbance."""
    started: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Revision -> the clusters that ever started on it."""
    started_at: dict[tuple[str, int], float] = field(default_factory=dict)
    """(Cluster, generation) -> when it started, seconds since 1970."""
    generations: Counter[tuple[str, int]] = field(default_factory=Counter)
    ready: dict[str, int] = field(default_factory=dict)
    """Cluster -> the revision that it was last ready with."""

    def hear(self, event: dict[str, Any]) -> None:
        """Take one event of an agent."""
        kind = event["e"]
        self.counts[kind] += 1
        if "why" in event:
            self.counts[f"{kind}: {event['why']}"] += 1
        match kind:
            case "registered" | "connected" | "fetched" | "reported" | "heartbeat":
                self.times[kind].append(event["seconds"])
            case "started":
                self.started[event["revision"]].add(event["cluster"])
                self.started_at.setdefault((event["cluster"], event["generation"]), event["at"])
                self.generations[event["cluster"], event["generation"]] += 1
            case "ready":
                self.ready[event["cluster"]] = event["revision"]

    def all_joined(self) -> None:
        """Everyone is connected: what is disturbed from now on counts."""
        self.while_joining = self.counts.copy()

    def join(self, releases: Iterable[Release]) -> None:
        """Set the legs that begin in the database and end at an agent."""
        for release in releases:
            began = release.released_at.timestamp()
            started = self.started_at.get((release.cluster, release.generation))
            if started is not None:
                self.times["released -> started"].append(started - began)
            if release.finished_at is not None:
                ended = release.finished_at.timestamp()
                self.times["released -> finished"].append(ended - began)


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which this part of them lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def breaches(scenario: Scenario, releases: Sequence[Release], ledger: Ledger) -> list[str]:
    """What must not be, in one sentence each; empty when all holds."""
    found = []
    forward = [each for each in releases if each.kind in ("publish", "placement")]
    for rollout in dict.fromkeys(each.rollout for each in forward):
        mine = [each for each in forward if each.rollout == rollout]
        found += _too_many_in_flight(scenario, mine)
        found += _stages_out_of_order(mine)
        found += _too_fast(scenario, mine)
    twice = [key for key, count in Counter((r.rollout, r.cluster) for r in releases).items()
             if count > 1]  # fmt: skip
    if twice:
        found.append(f"{len(twice)} targets were released twice")
    again = [key for key, count in ledger.generations.items() if count > 1]
    if again:
        found.append(f"{len(again)} clusters started twice on one generation")
    for revision, most in scenario.expect.clusters_that_saw.items():
        seen = len(ledger.started[revision])
        if seen > most:
            found.append(f"{seen} clusters saw revision {revision}; {most} at most may")
    if scenario.expect.undisturbed:
        found += [
            f"{count} times since all were connected: {kind}"
            for kind in ("stream not opened", "renewal failed", "heartbeat late")
            if (count := ledger.counts[kind] - ledger.while_joining[kind])
        ]
    if ledger.counts["refused"]:
        found.append(f"{ledger.counts['refused']} status reports were refused")
    return found


def _too_many_in_flight(scenario: Scenario, releases: Sequence[Release]) -> list[str]:
    found = []
    for stage in sorted({each.stage for each in releases}):
        mine = [each for each in releases if each.stage == stage]
        limit = count_of(scenario.strategy.stages[stage].max_concurrent, mine[0].stage_total)
        most = _most_at_once(mine)
        if most > max(1, limit):
            found.append(f"stage {stage}: {most} targets in flight; {limit} at most may be")
    return found


def _most_at_once(releases: Sequence[Release]) -> int:
    """The most targets between release and end at one moment; an end comes before a release."""
    changes: list[tuple[datetime, int]] = []
    for each in releases:
        changes.append((each.released_at, 1))
        if each.finished_at is not None:
            changes.append((each.finished_at, -1))
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def _stages_out_of_order(releases: Sequence[Release]) -> list[str]:
    """A stage's first release comes after the last end of the stage before."""
    found = []
    stages = sorted({each.stage for each in releases})
    for before, after in pairwise(stages):
        first = min(each.released_at for each in releases if each.stage == after)
        ends = [each.finished_at for each in releases if each.stage == before]
        if any(end is None for end in ends) or any(end > first for end in ends if end):
            found.append(f"stage {after} began before stage {before} had passed")
    return found


def _too_fast(scenario: Scenario, releases: Sequence[Release]) -> list[str]:
    pace = scenario.strategy.pace
    allowed = pace.per_minute / 60 * PACE_WINDOW_SECONDS + pace.burst
    times = sorted(each.released_at.timestamp() for each in releases)
    first, most = 0, 0
    for last, time in enumerate(times):
        while time - times[first] > PACE_WINDOW_SECONDS:
            first += 1
        most = max(most, last - first + 1)
    if most > allowed:
        return [f"{most} releases within {PACE_WINDOW_SECONDS:g} s; {allowed:g} at most may be"]
    return []
