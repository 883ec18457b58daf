"""What the planner may decide: a closed set of values, each with its reason and one sentence.

Carrying a decision out is the pacer's work; every decision is safe to carry out late, because the
pacer holds the rollout's row from the view to the commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutState, SkipReason, TargetState
from shared.planner.pacing import Pacing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    reason: ReasonCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(_Decision):
    """Pending becomes Running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveTarget(_Decision):
    """One target goes from one state to another (or restarts its soak)."""

    cluster_id: UUID
    cluster: str
    stage: int
    was: TargetState
    becomes: TargetState
    skip_reason: SkipReason | None = None
    ready_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revert(_Decision):
    """A failed target goes back to its own last known good revision, or to absent."""

    cluster_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Regoal(_Decision):
    """A rollback's target must go further back: its goal was quarantined meanwhile."""

    cluster_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PassStage(_Decision):
    """A stage's gate is passed."""

    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStage(_Decision):
    """A stage's targets may be released."""

    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitApproval(_Decision):
    """A stage opens only when a person has approved it."""

    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(_Decision):
    """Targets to release in this order: as many from the front as the pace has tokens for."""

    stage: int
    clusters: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPace(_Decision):
    """An adaptive rollout goes at another rate from now on: releases per minute."""

    was: float
    per_minute: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(_Decision):
    """Nothing more is released until a person resumes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBack(_Decision):
    """Take every cluster that received the revision back, in a rollout of its own."""

    quarantine: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class End(_Decision):
    """The rollout is over."""

    state: RolloutState


Decision = (
    Start
    | MoveTarget
    | Revert
    | Regoal
    | PassStage
    | OpenStage
    | AwaitApproval
    | Release
    | SetPace
    | Pause
    | RollBack
    | End
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions of one look, in the order to carry them out, and what is waited for then.

    `look_again_at` is when something may change by the passing of time alone; None means that only
    a report or a person can change anything.
    """

    decisions: tuple[Decision, ...]
    waiting_for: WaitingFor | None
    look_again_at: datetime | None
    pacing: Pacing | None = None
    """The rate of an adaptive rollout and the evidence so far, to keep with the rollout."""
