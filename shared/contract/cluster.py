"""Clusters as first-class resources, and what runs on them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field, JsonValue, StringConstraints

from shared.contract.base import (
    Annotations,
    Digest,
    LabelKey,
    Labels,
    LabelValue,
    Name,
    Reason,
    Timestamp,
    WireModel,
)
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import ConnectionState, DriftKind, ExtensionPhase
from shared.contract.status import Condition, Difference


class CertificateInfo(WireModel):
    """The certificate a cluster presents."""

    serial: str
    not_after: Timestamp


class InventorySummary(WireModel):
    """What the cluster consists of, in numbers."""

    nodes: int = 0
    nodes_ready: int = 0
    namespaces: int = 0
    workloads: int = 0
    releases: int = 0
    cpu_millicores: int = 0
    memory_bytes: int = 0
    reported_at: Timestamp | None = None


class ExtensionCounts(WireModel):
    """How the cluster's extensions are doing."""

    total: int = 0
    ready: int = 0
    failed: int = 0
    drifted: int = 0


class Cluster(WireModel):
    """One connected cluster."""

    id: UUID
    name: Name
    tenant: Name
    labels: Labels
    annotations: Annotations = Field(default_factory=dict)
    state: ConnectionState
    kubernetes_version: str = ""
    distribution: str = ""
    agent_version: str = ""
    certificate: CertificateInfo | None = None
    last_heartbeat: Timestamp | None = None
    not_now_until: Timestamp | None = None
    inventory: InventorySummary = InventorySummary()
    extensions: ExtensionCounts = ExtensionCounts()
    conditions: tuple[Condition, ...] = ()
    created_at: Timestamp
    etag: str


class ClusterPatch(WireModel):
    """RFC 7396 merge patch of what an operator may change; null removes a key."""

    labels: Annotated[dict[LabelKey, LabelValue | None], Field(max_length=64)] = Field(
        default_factory=dict
    )
    annotations: Annotated[dict[LabelKey, str | None], Field(max_length=64)] = Field(
        default_factory=dict
    )
    reason: Reason | None = None


class InventoryObject(WireModel):
    """One thing of a cluster's inventory."""

    kind: str
    namespace: str | None = None
    name: str
    data: dict[str, JsonValue] = Field(default_factory=dict)


class ClusterExtension(WireModel):
    """One extension on one cluster: what is desired, what runs, what differs."""

    cluster_id: UUID
    cluster: Name
    extension: Name
    desired_revision: int
    """0 for absent."""
    spec_digest: Digest
    generation: int
    rollout_id: UUID
    observed_revision: int | None = None
    phase: ExtensionPhase | None = None
    reason: ReasonCode | None = None
    """Why it is in that phase, as the newest report says."""
    message: str = ""
    last_good_revision: int | None = None
    conditions: tuple[Condition, ...] = ()
    reported_at: Timestamp | None = None


class Drift(WireModel):
    """Drift of one extension on one cluster, open until it is gone."""

    id: UUID
    cluster_id: UUID
    cluster: Name
    extension: Name
    kind: DriftKind
    revision: int
    since: Timestamp
    differences: tuple[Difference, ...] = ()
    truncated: bool = False
    correcting: bool = False
    """The agent was asked to set it right, and has not answered yet."""
    waiting_for: WaitingFor | None = None
    """Why a correction that was asked for has not gone out yet."""


class DriftCorrection(WireModel):
    """The body of POST /drift/correct: the open drifts of one extension, over many clusters."""

    extension: Name
    labels: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """Only on the clusters that this selector matches, as in GET /clusters: `env=prod,!legacy`."""
    reason: Reason | None = None


class CorrectionsAsked(WireModel):
    """The answer: corrections go out at the pace of the extension's rollouts."""

    asked: int
    """Drifts that are to be corrected and were not before."""
    waiting: int
    """Of the extension's, those that have not gone out yet."""


class DriftAccept(WireModel):
    """The body of POST /drift/{id}/accept."""

    reason: Reason
    expires_at: Timestamp


class DriftAction(WireModel):
    """The body of POST /drift/{id}/correct; may be empty."""

    reason: Reason | None = None
