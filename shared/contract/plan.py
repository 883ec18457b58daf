"""A rollout that is not there: what publishing would do, and how it went in a simulation."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import JsonValue

from shared.contract.base import Digest, IntOrPercent, Name, Timestamp, WireModel
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutState


class TimesSource(StrEnum):
    """Where predicted apply times come from."""

    EXTENSION = "extension"
    """What this extension took lately."""
    TENANT = "tenant"
    """What the tenant's extensions took lately: this one has no history."""
    DEFAULT = "default"
    """An assumption: nothing was applied yet."""


class PredictedTimes(WireModel):
    """How long a cluster takes from its release to ready, in seconds."""

    p50_seconds: float
    p95_seconds: float
    source: TimesSource
    samples: int
    """Recorded applies that this rests on."""


class SpecChange(WireModel):
    """One part of a resolved spec that would change."""

    path: str
    """RFC 6901 pointer."""
    before: JsonValue = None
    after: JsonValue = None
    """Absent for a part that is not there; a long value is given by its size and digest."""


class SpecDifference(WireModel):
    """What would change for all clusters that go from one content to another."""

    from_digest: Digest | None = None
    """Absent: they do not have the extension."""
    to_digest: Digest | None = None
    """Absent: it is removed from them."""
    clusters: int
    changes: tuple[SpecChange, ...]


class PlannedTarget(WireModel):
    """One cluster in a plan."""

    cluster: Name
    from_revision: int
    """0 for absent."""
    changes: tuple[str, ...] = ()
    """RFC 6901 pointers into the resolved spec that would change."""
    difference: int
    """The index of its difference in the plan's `differences`, with the values."""
    waiting_for: WaitingFor | None = None
    """What about the cluster itself would be waited for, were the rollout to start now; `until`
    is predicted where a rollout under way brings what is lacking."""


class PlannedStage(WireModel):
    """One stage in a plan. Times are predicted, from the start on; absent: not within a year."""

    name: Name
    max_concurrent: int
    failure_budget: int
    """Failures that it bears on the whole; of a percentage fewer while less was released."""
    targets: tuple[PlannedTarget, ...]
    blast_radius: int
    """Clusters that have the revision by the time this stage stops the rollout at the earliest, had
    everything before it gone well."""
    starts_after_seconds: float | None = None
    ends_after_seconds: float | None = None
    """With every cluster taking the median time."""
    ends_after_seconds_at_p95: float | None = None
    """With every cluster taking what 19 in 20 do not exceed."""
    ends_after_seconds_at_floor: float | None = None
    """With the median time, and an adaptive pace that stays at its floor."""


class LeftOut(WireModel):
    """A matching cluster that the rollout would leave as it is."""

    cluster: Name
    why: str


class RolloutPlan(WireModel):
    """The answer of POST /desired?dryRun=plan; nothing is stored."""

    extension: Name
    revision: int
    digest: Digest
    unchanged: bool
    """Publishing it would start nothing: a rollout brings it out, or has done so."""
    planned_at: Timestamp
    """When the timeline would begin."""
    stages: tuple[PlannedStage, ...]
    differences: tuple[SpecDifference, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    not_selected: int = 0
    """Clusters that the placement does not select, and that do not have the extension."""
    leaves: tuple[Name, ...] = ()
    """Clusters that have the extension and no longer match: it is removed there."""
    blast_radius: int
    """The most clusters that can have got a revision that fails everywhere before that stops it."""
    ends_as: RolloutState
    """How it ends if no cluster fails: a median time beyond the deadline fails them all. Not an end
    where it would come to wait without one, see `waitingFor`."""
    waiting_for: WaitingFor | None = None
    """What it would come to wait for without an end, if no cluster fails."""
    apply_times: PredictedTimes
    assumptions: tuple[str, ...] = ()
    """What the timeline takes for granted."""
    supersedes: tuple[UUID, ...] = ()


class SimulatedStage(WireModel):
    """A stage at the end of a simulation."""

    name: Name
    total: int
    succeeded: int
    failed: int
    skipped: int
    unfinished: int
    opened_after_seconds: float | None = None
    passed_after_seconds: float | None = None


class SimulatedMoment(WireModel):
    """The numbers of the rollout at one moment."""

    after_seconds: float
    reached: int
    """Clusters that the revision was released to so far."""
    in_flight: int
    succeeded: int
    failed: int
    skipped: int
    taken_back: int
    held: int = 0
    """In open stages, on clusters that lack another extension."""


class SimulatedEvent(WireModel):
    """Something the planner decided."""

    after_seconds: float
    reason: ReasonCode
    message: str


class Simulation(WireModel):
    """The answer of POST /desired?dryRun=simulate; nothing is stored, no cluster hears of it."""

    extension: Name
    revision: int
    seed: int
    failures: IntOrPercent
    offline: IntOrPercent
    starts_at: Timestamp
    state: RolloutState
    ends_after_seconds: float | None = None
    """Absent: it does not end by itself, see `waitingFor`."""
    waiting_for: WaitingFor | None = None
    targets: int
    reached: int
    """Clusters that the revision was released to."""
    taken_back: int
    first_failure_after_seconds: float | None = None
    reached_at_first_failure: int | None = None
    blast_radius: int
    """See RolloutPlan."""
    stages: tuple[SimulatedStage, ...]
    samples: tuple[SimulatedMoment, ...]
    """In order of time; at most 121."""
    events: tuple[SimulatedEvent, ...]
    events_left_out: int = 0
    apply_times: PredictedTimes
    assumptions: tuple[str, ...] = ()
