"""What the planner is told: counters per stage, and only the targets that something may happen to.

Built from one consistent read of the database by the pacer, or from memory by a simulation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import (
    ExtensionPhase,
    RolloutKind,
    RolloutState,
    SkipReason,
    TargetState,
)
from shared.contract.strategy import RolloutStrategy
from shared.planner.pacing import CALM, Pacing, Pressure
from shared.planner.windows import OPEN, Verdict


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether a cluster can act on a release now."""

    connected: bool = True
    silent_since: datetime | None = None
    """Server time of its last heartbeat; None for one that never sent any."""
    not_now_until: datetime | None = None
    gone: bool = False
    """Deregistered or revoked: it will not come back to this rollout."""

    def wants_peace(self, now: datetime) -> bool:
        """True while the cluster asks to be left alone."""
        return self.not_now_until is not None and self.not_now_until > now

    def can_act(self, now: datetime) -> bool:
        """True when a release would be acted on."""
        return self.connected and not self.gone and not self.wants_peace(now)


class Found(StrEnum):
    """How a cluster stands with an extension that a target has to wait for."""

    ABSENT = "Absent"
    """A dependency that is not to be there, or not yet."""
    NOT_READY = "NotReady"
    """A dependency that is being applied, or whose agent has not spoken of its release yet."""
    FAILED = "Failed"
    """A dependency whose release failed there for good."""
    COMING = "Coming"
    """A dependency that an earlier rollout, or a rollback, is still to release there."""
    DEPENDS = "Depends"
    """For a removal: an extension that depends on it and is still there."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What a target has to wait for on its own cluster before it is released."""

    extension: str
    found: Found
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What the cluster's agent last said of the extension, whatever release it spoke of."""

    rollout_id: UUID
    digest: str
    generation: int
    phase: ExtensionPhase
    reason: ReasonCode
    message: str = ""
    ready_since: datetime | None = None
    unheld_at: datetime | None = None
    """When the agent stopped waiting for a dependency, at this generation."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A report that this generation failed for good; later reports do not take it back."""

    generation: int
    reason: ReasonCode
    message: str = ""


@dataclass(frozen=True, slots=True)
class TargetView:
    """One cluster in the rollout."""

    cluster_id: UUID
    cluster: str
    stage: int
    position: int
    state: TargetState
    goal_digest: str
    goal_absent: bool = False
    goal_quarantined: bool = False
    generation: int | None = None
    """Of the assignment that the release made."""
    released_at: datetime | None = None
    ready_since: datetime | None = None
    skip_reason: SkipReason | None = None
    reach: Reach = Reach()
    lacks: Lack | None = None
    report: Report | None = None
    given_up: GivenUp | None = None


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage: how many targets stand where, and the oldest of those in flight."""

    index: int
    name: str
    total: int
    to_apply: int = 0
    in_flight: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    forgiven: int = 0
    """Failures before an operator resumed the rollout: they count no more."""
    opened_at: datetime | None = None
    passed_at: datetime | None = None
    approved_at: datetime | None = None
    first_release: datetime | None = None
    """The oldest release among the targets that are not Ready yet."""
    first_ready: datetime | None = None
    """The oldest Ready among the targets that soak."""

    @property
    def unfinished(self) -> int:
        """Targets that may still change."""
        return self.to_apply + self.in_flight

    @property
    def released(self) -> int:
        """Targets that were released, without those that were skipped after that."""
        return self.in_flight + self.succeeded + self.failed

    def moved(self, was: TargetState, becomes: TargetState) -> StageView:
        """The stage after one of its targets went from one state to another."""
        return self._with(was, -1)._with(becomes, +1)

    def _with(self, state: TargetState, by: int) -> StageView:
        match state:
            case TargetState.TO_APPLY:
                return replace(self, to_apply=self.to_apply + by)
            case TargetState.RELEASED | TargetState.APPLYING | TargetState.VERIFYING:
                return replace(self, in_flight=self.in_flight + by)
            case TargetState.SUCCEEDED:
                return replace(self, succeeded=self.succeeded + by)
            case TargetState.FAILED | TargetState.TIMED_OUT:
                return replace(self, failed=self.failed + by)
            case TargetState.SKIPPED:
                return replace(self, skipped=self.skipped + by)


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A rollout as it stands. The tuples of targets are bounded batches in release order."""

    rollout_id: UUID
    kind: RolloutKind
    state: RolloutState
    strategy: RolloutStrategy
    created_at: datetime
    stages: tuple[StageView, ...]
    quarantined: bool = False
    """The rollout's own revision is quarantined."""
    behind: UUID | None = None
    """A rollback of the same extension that must end first."""
    freeze: Verdict = OPEN
    """Whether a freeze or a closed window holds releases; always open for a rollback."""
    waiting_for: WaitingFor | None = None
    """What the look before this one found."""
    pacing: Pacing | None = None
    """Of an adaptive rollout; None for one at a fixed pace."""
    pressure: Pressure = CALM
    """What an adaptive pace goes by beside the targets that end."""
    in_flight: tuple[TargetView, ...] = ()
    """Targets in flight that a report, a deadline or a soak's end may move."""
    candidates: tuple[TargetView, ...] = ()
    """The next targets to release in each open stage, as many as have a place."""
    lacking: tuple[TargetView, ...] = ()
    """Some targets of open stages that wait for an extension on their own cluster."""
    unreachable: tuple[TargetView, ...] = ()
    """Targets of open stages that wait for release on a cluster that cannot act."""
    returned: tuple[TargetView, ...] = ()
    """Skipped targets of open stages whose cluster can act again."""
    unreverted: tuple[TargetView, ...] = ()
    """Failed targets that still have the rollout's revision."""
