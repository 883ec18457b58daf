"""Small fleets to simulate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from shared.contract.strategy import RolloutStrategy
from shared.domain.goals import Goal
from shared.domain.stages import Member, arrange
from shared.planner.view import Found, Lack, Reach
from shared.planner.windows import Windows
from shared.simulation.fleet import Setting, SimulatedCluster, Wait

START = datetime(2026, 5, 4, 10, tzinfo=UTC)
FAST = {"perMinute": 60_000, "burst": 10_000}


def strategy(**fields: Any) -> RolloutStrategy:
    stages = [{"name": "all", "maxConcurrent": 2, "soak": "0s"}]
    return RolloutStrategy.model_validate({"stages": stages, "pace": FAST, **fields})


def setting(
    count: int,
    plan: RolloutStrategy,
    *,
    failing: Collection[int] = (),
    silent: Collection[int] = (),
    reach: Mapping[int, Reach] | None = None,
    apply_seconds: float = 10,
    windows: Windows | None = None,
    waits: Mapping[int, Sequence[Wait]] | None = None,
) -> Setting:
    """`count` clusters, `c0` first; those that fail, and those that are silent from the start."""
    members = [Member(UUID(int=100 + n), f"c{n:04}", {}) for n in range(count)]
    reaches = {n: Reach(connected=False, silent_since=START) for n in silent} | dict(reach or {})
    clusters = []
    for placed in arrange(plan, members).placed:
        number = placed.member.cluster_id.int - 100
        goal = Goal(
            placed.member.cluster_id, placed.member.name, placed.stage, placed.position,
            revision=2, digest="new", absent=False, previous=1, held="old",
        )  # fmt: skip
        clusters.append(
            SimulatedCluster(
                goal,
                reaches.get(number, Reach()),
                timedelta(seconds=apply_seconds),
                fails=number in failing,
                good=(1, "old"),
                waits=tuple((waits or {}).get(number, ())),
            )
        )
    return Setting(2, plan, clusters, START, windows or Windows())


def wait(after: timedelta | None = None, name: str = "db") -> Wait:
    """For an extension that is not there, and comes so long after the start; None: never."""
    return Wait(Lack(name, Found.ABSENT), None if after is None else START + after)


def strategies(*on_failure: str) -> st.SearchStrategy[RolloutStrategy]:
    """Strategies of one to three stages, with and without soak, approval and narrow limits."""
    stage = st.fixed_dictionaries(
        {
            "maxConcurrent": st.sampled_from([1, 2, "50%", "100%"]),
            "maxFailures": st.sampled_from([0, 1, "50%"]),
            "soak": st.sampled_from(["0s", "2m"]),
            "approval": st.sampled_from(["none", "required"]),
        }
    )
    capped = st.tuples(stage, st.integers(1, 3)).map(lambda s: {**s[0], "maxTargets": s[1]})
    stages = st.tuples(st.lists(capped, max_size=2), stage).map(
        lambda s: [{"name": f"s{n}", **one} for n, one in enumerate([*s[0], s[1]])]
    )
    paces = [FAST, {"perMinute": 60, "burst": 2}, {"perMinute": 6, "burst": 1, "mode": "adaptive"}]
    return st.fixed_dictionaries(
        {
            "stages": stages,
            "onFailure": st.sampled_from(on_failure),
            "pace": st.sampled_from(paces),
        }
    ).map(RolloutStrategy.model_validate)
