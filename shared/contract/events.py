"""The audit trail, and open incidents."""

from __future__ import annotations

from pydantic import Field, JsonValue

from shared.contract.base import Timestamp, WireModel
from shared.contract.reasons import ReasonCode, Severity


class Event(WireModel):
    """One entry of a tenant's append-only, hash-chained audit trail."""

    sequence: int
    at: Timestamp
    actor: str
    """`person:<oid>`, `service:<oid>`, `cluster:<id>` or `system:<timer>`."""
    address: str | None = None
    action: str
    """`extension.publish`, `rollout.pause`, …"""
    subject: str
    """`extension/ingress-nginx`, `cluster/eu-1`, `rollout/<id>`, …"""
    reason: ReasonCode | None = None
    message: str = ""
    data: dict[str, JsonValue] = Field(default_factory=dict)
    trace_id: str | None = None
    hash: str
    previous_hash: str


class EventVerification(WireModel):
    """The answer of GET /events?verify=true."""

    intact: bool
    """Of what was checked: of the whole trail once there is no `nextAfter`."""
    checked: int
    """The entry up to which it is."""
    written: int = 0
    """The entry that the trail went to when this was asked."""
    first_broken_sequence: int | None = None
    detail: str
    next_after: int | None = None
    """The next call's `after`; absent once all is checked, or something is wrong."""
    next_hash: str | None = None
    """That entry's hash, for the next call as `hash`: the chain has to go on from it."""


class Incident(WireModel):
    """One open thing that a person may have to act on."""

    severity: Severity
    scope: str
    reason: ReasonCode
    message: str
    since: Timestamp
    runbook: str | None = None


class HealthSummary(WireModel):
    """The answer of GET /health/summary, worst first."""

    incidents: tuple[Incident, ...] = ()
    clusters: dict[str, int] = Field(default_factory=dict)
    """Count by connection state."""
    rollouts: dict[str, int] = Field(default_factory=dict)
    """Count of rollouts that are not over, by state."""
