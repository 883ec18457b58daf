"""What an agent reports of its extensions: events, at least once, in order within a session."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, JsonValue, StringConstraints

from shared.contract.base import Digest, Name, Text, Timestamp, WireModel
from shared.contract.errors import ErrorCode
from shared.contract.limits import DIFFERENCES_PER_REPORT, STATUS_EVENTS_PER_BATCH
from shared.contract.reasons import ReasonCode
from shared.contract.states import ConditionStatus, ExtensionPhase

Message = Annotated[Text, StringConstraints(max_length=2048)]


class ConditionType(StrEnum):
    """Conditions of an extension on a cluster, and of a cluster."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    RELEASED = "Released"
    HEALTHY = "Healthy"
    DRIFTED = "Drifted"
    REMEDIATED = "Remediated"
    REGISTERED = "Registered"
    CONNECTED = "Connected"
    CLOCK_SYNCED = "ClockSynced"
    CERTIFICATE_VALID = "CertificateValid"


class Condition(WireModel):
    """A Kubernetes condition (KEP-1623). `last_transition_time` moves only when `status` moves."""

    type: ConditionType
    status: ConditionStatus
    reason: ReasonCode
    message: Message = ""
    last_transition_time: Timestamp
    observed_generation: Annotated[int, Field(ge=0)] = 0


class DifferenceKind(StrEnum):
    """How a live object differs."""

    CHANGED = "changed"
    MISSING = "missing"
    EXTRA = "extra"
    """An object of ours that the revision no longer renders."""


class Difference(WireModel):
    """One field (or whole object) that is not as the revision renders it."""

    kind: DifferenceKind
    api_version: Annotated[Text, StringConstraints(max_length=317)]
    object_kind: Annotated[Text, StringConstraints(max_length=63)]
    namespace: Annotated[Text, StringConstraints(max_length=63)] | None = None
    name: Annotated[Text, StringConstraints(max_length=253)]
    path: Annotated[Text, StringConstraints(max_length=1024)] = ""
    """RFC 6901 pointer; empty for a whole object."""
    desired: JsonValue = None
    observed: JsonValue = None
    """Secret data is never here, only a digest of it."""
    managers: Annotated[
        tuple[Annotated[Text, StringConstraints(max_length=128)], ...], Field(max_length=16)
    ] = ()
    """Field managers that own the field now."""
    first_seen: Timestamp


class DriftReport(WireModel):
    """The outcome of one drift check; replaces the one before it for the extension."""

    checked_at: Timestamp
    differences: Annotated[tuple[Difference, ...], Field(max_length=DIFFERENCES_PER_REPORT)] = ()
    truncated: bool = False
    """True when there were more differences than one report carries."""
    corrections: Annotated[int, Field(ge=0)] = 0
    """Attempts to set this drift right so far."""
    correction: Annotated[int, Field(ge=0)] = 0
    """The highest `correction` of the desired document this agent has acted on."""


class StepSeconds(WireModel):
    """How long the steps of one attempt took, in seconds."""

    fetch: Annotated[float, Field(ge=0)] = 0.0
    apply: Annotated[float, Field(ge=0)] = 0.0
    ready: Annotated[float, Field(ge=0)] = 0.0


class StatusEvent(WireModel):
    """One thing that happened to one extension on the cluster."""

    id: UUID
    """UUIDv7 made by the agent; the same event always has the same id."""
    sequence: Annotated[int, Field(ge=1)]
    """Grows by one with each event of the agent's journal, over restarts too."""
    occurred_at: Timestamp
    """The agent's clock; only shown, never decided by."""
    extension: Name
    phase: ExtensionPhase
    revision: Annotated[int, Field(ge=1)]
    spec_digest: Digest
    rollout_id: UUID
    observed_generation: Annotated[int, Field(ge=1)]
    reason: ReasonCode
    message: Message = ""
    attempt: Annotated[int, Field(ge=1)] = 1
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    drift: DriftReport | None = None
    seconds: StepSeconds | None = None
    traceparent: Annotated[str, StringConstraints(max_length=64)] | None = None


class StatusBatch(WireModel):
    """The body of POST /status."""

    session_epoch: Annotated[int, Field(ge=0)]
    """The epoch the relay granted; an older one than the newest is refused as StaleEpoch."""
    not_now_until: Timestamp | None = None
    """Until when the cluster asks to be left alone (`spec.notNow` of its CR)."""
    events: Annotated[tuple[StatusEvent, ...], Field(max_length=STATUS_EVENTS_PER_BATCH)]


class RefusedEvent(WireModel):
    """An event that will never be taken; the agent drops it and logs why."""

    id: UUID
    code: ErrorCode
    detail: str


class StatusAck(WireModel):
    """The answer: every event up to `durable_sequence` is stored or refused for good."""

    durable_sequence: Annotated[int, Field(ge=0)]
    refused: tuple[RefusedEvent, ...] = ()
