"""Revisions, rollouts, their targets, and the plan of a rollout that is not there yet."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contract.base import Digest, Labels, Name, Reason, Timestamp, WireModel
from shared.contract.errors import FieldError
from shared.contract.extension import ExtensionSpec
from shared.contract.reasons import ReasonCode
from shared.contract.states import RevisionState, RolloutKind, RolloutState, SkipReason, TargetState
from shared.contract.strategy import RolloutStrategy


class WaitingFor(WireModel):
    """What something waits for, in one sentence."""

    reason: ReasonCode
    message: str
    since: Timestamp | None = None
    until: Timestamp | None = None
    """When the wait ends by itself, where that is known."""
    ends_when: str = ""
    """What ends it: `someone approves it`."""


class StageProgress(WireModel):
    """One stage in numbers."""

    name: Name
    total: int
    to_apply: int
    in_flight: int
    succeeded: int
    failed: int
    skipped: int
    max_concurrent: int
    failure_budget: int
    """Failures that it bears by now: a percentage is earned by what was released."""
    opened_at: Timestamp | None = None
    passed_at: Timestamp | None = None
    approved_by: str | None = None


class RolloutPace(WireModel):
    """How fast an adaptive rollout goes now, and why."""

    per_minute: float
    """Releases per minute, between the strategy's `pace.minPerMinute` and `pace.perMinute`."""
    since: Timestamp
    reason: ReasonCode | None = None
    """What changed it last; absent while it is as declared from the start."""
    message: str = ""


class Rollout(WireModel):
    """One operation that moves targets to a revision."""

    id: UUID
    extension: Name
    kind: RolloutKind
    state: RolloutState
    revision: int | None = None
    """The revision it goes to; absent for deletions and rollbacks, whose targets differ."""
    reason: str | None = None
    created_by: str
    created_at: Timestamp
    finished_at: Timestamp | None = None
    superseded_by: UUID | None = None
    rollback_of: UUID | None = None
    rolled_back_by: UUID | None = None
    retry_of: UUID | None = None
    """The rollout whose failed and skipped targets this one takes up."""
    strategy: RolloutStrategy
    stages: tuple[StageProgress, ...] = ()
    waiting_for: WaitingFor | None = None
    pace: RolloutPace | None = None
    """Only with `pace.mode: adaptive`."""
    freeze_override_until: Timestamp | None = None
    """Freezes and windows do not hold it until then."""
    traceparent: str | None = None
    etag: str


class RolloutTarget(WireModel):
    """One cluster in one rollout."""

    cluster_id: UUID
    cluster: Name
    stage: Name
    position: int
    state: TargetState
    skip_reason: SkipReason | None = None
    revision: int
    """The revision this target goes to; 0 for absent."""
    previous_revision: int
    """What was desired here before; 0 for absent."""
    reason: ReasonCode | None = None
    message: str = ""
    reverted: bool = False
    waiting_for: WaitingFor | None = None
    """Absent once nothing will happen to it any more in this rollout."""
    released_at: Timestamp | None = None
    ready_since: Timestamp | None = None
    finished_at: Timestamp | None = None


class Revision(WireModel):
    """One immutable version of an extension."""

    extension: Name
    number: Annotated[int, Field(ge=1)]
    digest: Digest
    state: RevisionState
    created_by: str
    created_at: Timestamp
    reason: str | None = None
    provenance: str
    """`api`, `rollback of 3`, …"""
    quarantine_reason: str | None = None
    spec: ExtensionSpec | None = None
    """Left out of lists."""


class ClusterTally(WireModel):
    """Where an extension stands over the fleet."""

    desired: int = 0
    ready: int = 0
    failed: int = 0
    applying: int = 0
    drifted: int = 0


class Extension(WireModel):
    """One extension with its newest and its last known good revision."""

    name: Name
    labels: Labels = Field(default_factory=dict)
    revision: int
    last_good_revision: int | None = None
    deleting: bool = False
    clusters: ClusterTally = ClusterTally()
    active_rollout: UUID | None = None
    created_at: Timestamp
    updated_at: Timestamp
    etag: str
    spec: ExtensionSpec | None = None
    """Left out of lists."""


class PublishResult(WireModel):
    """The answer of POST /desired."""

    extension: Name
    revision: int
    digest: Digest
    created: bool
    """Whether there is a new revision: False when the content was already the newest one's."""
    rollout_id: UUID | None = None
    """The rollout that brings it out, or has done so."""
    started: bool = False
    """Whether that rollout is new. It is for a new revision, and where an old one has to go out
    again: after a failed or cancelled rollout, and once its quarantine was lifted."""
    superseded: tuple[UUID, ...] = ()
    warnings: tuple[FieldError, ...] = ()
    """What was accepted and yet keeps clusters waiting for a person."""


class RollbackRequest(WireModel):
    """The body of POST /extensions/{name}/rollback."""

    to_revision: Annotated[int, Field(ge=1)] | None = None
    """Without one: each cluster's own last known good revision before the newest."""
    reason: Reason | None = None


class WayBack(WireModel):
    """Clusters that a rollback takes to one revision."""

    to_revision: int
    """0: it is removed there, for no other revision was ever good."""
    clusters: int


class RollbackResult(WireModel):
    """The answer: the rollback's own rollout. The same request again gives the same one."""

    rollout_id: UUID
    quarantined_revision: int | None = None
    created: bool
    ways: tuple[WayBack, ...] = ()
    """Where its clusters go, the newest revision first."""


class ActionRequest(WireModel):
    """The body of pause, resume, cancel, approve, retry, quarantine and release; may be empty."""

    reason: Reason | None = None
