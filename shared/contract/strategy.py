"""How a rollout goes: stages, budgets, deadlines and pace. Copied into the rollout at its start."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from shared.contract.base import Duration, IntOrPercent, Name, WireModel
from shared.contract.limits import STAGES_PER_ROLLOUT, WINDOWS_PER_ROLLOUT
from shared.contract.placement import LabelSelector

SOAK_DEFAULT = timedelta(minutes=5)


class Approval(StrEnum):
    """Whether a person must approve before a stage opens."""

    NONE = "none"
    REQUIRED = "required"


class OnFailure(StrEnum):
    """What happens to a rollout whose stage is over its failure budget."""

    ROLLBACK = "rollback"
    PAUSE = "pause"
    CONTINUE = "continue"


class PaceMode(StrEnum):
    """Whether the rate stays as declared or follows what the fleet bears."""

    FIXED = "fixed"
    ADAPTIVE = "adaptive"


class Stage(WireModel):
    """A group of targets that is released before the next group."""

    name: Name
    match: LabelSelector | None = None
    """Without one: everything left."""
    max_targets: Annotated[int, Field(ge=1)] | None = None
    """At most this many of the matching clusters; the others fall to later stages."""
    max_concurrent: IntOrPercent = "10%"
    max_failures: IntOrPercent | None = None
    """Overrides the rollout's own for this stage."""
    soak: Duration = SOAK_DEFAULT
    """How long a target must stay Ready before it counts as succeeded."""
    approval: Approval = Approval.NONE
    """`required`: the stage opens only once a person has approved it."""


class OfflinePolicy(WireModel):
    """When a silent cluster is skipped; it is taken up again when it returns."""

    after: Duration = timedelta(minutes=10)
    then: Annotated[str, StringConstraints(pattern="^skip$")] = "skip"


class Pace(WireModel):
    """Token buckets: a token is the release of one target."""

    per_minute: Annotated[float, Field(gt=0, le=1_000_000)] = 60.0
    """The rate; with `mode: adaptive` the highest one."""
    burst: Annotated[int, Field(ge=1, le=100_000)] = 10
    mode: PaceMode = PaceMode.FIXED
    min_per_minute: Annotated[float, Field(gt=0)] | None = None
    """With `mode: adaptive` the lowest rate; without one a tenth of `perMinute`."""
    per_source: Annotated[float, Field(gt=0)] | None = None
    """Releases per minute that pull from one chart registry, over all rollouts of the tenant."""

    @property
    def floor(self) -> float:
        """The lowest rate, per minute."""
        if self.mode is PaceMode.FIXED:
            return self.per_minute
        return self.per_minute / 10 if self.min_per_minute is None else self.min_per_minute

    @model_validator(mode="after")
    def _floor_makes_sense(self) -> Self:
        if self.min_per_minute is None:
            return self
        if self.mode is PaceMode.FIXED:
            raise ValueError("pace.minPerMinute needs mode: adaptive: a fixed pace has no floor")
        if self.min_per_minute > self.per_minute:
            raise ValueError("pace.minPerMinute must not be above pace.perMinute")
        return self


OrderKey = Annotated[str, StringConstraints(pattern=r"^(name|label:.{1,317})$")]


class RolloutStrategy(WireModel):
    """The whole strategy. With none given: one canary, then 10 % at a time, rollback on failure."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=STAGES_PER_ROLLOUT)] = (
        Stage(name="canary", max_targets=1, max_concurrent="1", max_failures="0"),
        Stage(name="broad", max_concurrent="10%"),
    )
    order: Annotated[tuple[OrderKey, ...], Field(max_length=8)] = ("name",)
    max_failures: IntOrPercent = "2%"
    """More than that stop the rollout. A percentage is of the targets that a stage has released so
    far, and five more; never more than that of the whole stage."""
    progress_deadline: Duration = timedelta(minutes=10)
    """From a target's release to Ready."""
    on_failure: OnFailure = OnFailure.ROLLBACK
    offline: OfflinePolicy = OfflinePolicy()
    pace: Pace = Pace()
    windows: Annotated[tuple[Name, ...], Field(max_length=WINDOWS_PER_ROLLOUT)] = ()
    """Freezes and windows by name; the tenant's global ones hold the rollout, too."""

    @model_validator(mode="after")
    def _stages_make_sense(self) -> Self:
        names = [stage.name for stage in self.stages]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"stage names must differ; {', '.join(twice)} occurs twice")
        for stage in self.stages:
            if stage.max_concurrent in ("0", "0%"):
                raise ValueError(
                    f"stage {stage.name}: maxConcurrent 0 would never release anything"
                )
        return self
