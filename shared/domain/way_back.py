"""The strategy and the order of a rollback: the forward one's, turned round and without soak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from shared.contract.strategy import (
    Approval,
    OnFailure,
    PaceMode,
    RolloutStrategy,
    Stage,
)
from shared.domain.goals import Goal


@dataclass(frozen=True, slots=True)
class Affected:
    """A cluster that has what is taken back, and where it goes."""

    cluster_id: UUID
    cluster: str
    previous: int
    """The revision that is taken back."""
    held: str
    """Its digest."""
    stage: int | None
    """In the forward rollout; None for a cluster that got the revision in another one."""
    position: int | None
    revision: int | None
    """Its own last known good one; None for absent."""
    digest: str | None


def way_back(strategy: RolloutStrategy) -> RolloutStrategy:
    """Newest stage first; nothing soaks or needs approval, and no failure stops the others.

    The pace is the declared one: signs of trouble must not slow the way out of it.
    """
    stages = tuple(
        Stage(
            name=stage.name,
            max_concurrent=stage.max_concurrent,
            max_failures="100%",
            soak=timedelta(),
            approval=Approval.NONE,
        )
        for stage in reversed(strategy.stages)
    )
    return strategy.model_copy(
        update={
            "stages": stages,
            "max_failures": "100%",
            "on_failure": OnFailure.CONTINUE,
            "pace": strategy.pace.model_copy(
                update={"mode": PaceMode.FIXED, "min_per_minute": None}
            ),
        }
    )


def goals_back(strategy: RolloutStrategy, affected: Sequence[Affected]) -> tuple[Goal, ...]:
    """The targets of the rollback, last released first. `strategy` is the forward rollout's."""
    last = len(strategy.stages) - 1

    def order(item: Affected) -> tuple[int, int, str]:
        stage = 0 if item.stage is None else last - min(item.stage, last)
        return (stage, -(item.position or 0), item.cluster)

    return tuple(
        Goal(
            item.cluster_id,
            item.cluster,
            stage=order(item)[0],
            position=position,
            revision=item.previous if item.revision is None else item.revision,
            digest=item.held if item.digest is None else item.digest,
            absent=item.revision is None,
            previous=item.previous,
            held=item.held,
        )
        for position, item in enumerate(sorted(affected, key=order))
    )
