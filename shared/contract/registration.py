"""Joining: bootstrap tokens, and a certificate for a key the agent made itself."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints, field_validator

from shared.contract.base import (
    Digest,
    Duration,
    Labels,
    Name,
    Reason,
    Text,
    Timestamp,
    WireModel,
)
from shared.contract.limits import BOOTSTRAP_TOKEN_LIFETIME, BOOTSTRAP_TOKEN_LIFETIME_MAX

ShortText = Annotated[Text, StringConstraints(max_length=128)]
Pem = Annotated[Text, StringConstraints(max_length=12 * 1024)]


class ClusterFacts(WireModel):
    """What an agent knows of its cluster when it joins."""

    kubernetes_version: ShortText = ""
    distribution: ShortText = ""
    agent_version: ShortText = ""
    cluster_uid: ShortText = ""
    """The uid of the namespace kube-system: tells a rebuilt cluster from a moved agent."""


class RegisterRequest(WireModel):
    """The body of POST /register."""

    token: Annotated[str, StringConstraints(min_length=16, max_length=256)]
    csr: Pem
    """PKCS#10; only its public key is used."""
    cluster_name: Name
    facts: ClusterFacts = ClusterFacts()
    labels: Labels = Field(default_factory=dict)


class AgentSettings(WireModel):
    """What the control plane asks of an agent."""

    heartbeat_seconds: Annotated[float, Field(gt=0)]
    poll_seconds: Annotated[float, Field(gt=0)]
    """How often to GET /desired while no wake-up arrives."""


class RegisterResponse(WireModel):
    """A certificate and where to go with it."""

    cluster_id: UUID
    tenant: Name
    cluster_name: Name
    certificate_chain: str
    """PEM, leaf first."""
    ca_bundle: str
    """PEM of the roots to trust for the relay."""
    not_after: Timestamp
    serial: str
    """Hexadecimal."""
    relay_address: str
    """host:port"""
    audience: str
    """`aud` of the agent's assertions."""
    settings: AgentSettings


class BootstrapTokenRequest(WireModel):
    """The body of POST /bootstrap-tokens."""

    cluster_name: Name | None = None
    """Binds the token to one name."""
    labels: Labels = Field(default_factory=dict)
    """Put on the cluster that registers with it."""
    approval: bool = False
    """The cluster that registers with it gets nothing until an admin has approved it."""
    lifetime: Duration = BOOTSTRAP_TOKEN_LIFETIME

    @field_validator("lifetime")
    @classmethod
    def _within_bounds(cls, lifetime: timedelta) -> timedelta:
        if not timedelta(minutes=1) <= lifetime <= BOOTSTRAP_TOKEN_LIFETIME_MAX:
            raise ValueError("lifetime must be between 1m and 24h")
        return lifetime


class BootstrapToken(WireModel):
    """A token as it is listed; the secret itself is shown once, at its creation."""

    id: UUID
    cluster_name: Name | None = None
    labels: Labels = Field(default_factory=dict)
    approval: bool = False
    """Whether the cluster that registers with it waits for an admin."""
    created_by: str
    created_at: Timestamp
    expires_at: Timestamp
    used_at: Timestamp | None = None
    used_by_cluster: Name | None = None
    revoked_at: Timestamp | None = None


class CreatedBootstrapToken(BootstrapToken):
    """The answer of POST /bootstrap-tokens: the only time the secret is seen."""

    token: str
    """`abt_<id>_<secret>`"""
    ca_pin: str
    """`sha256:<hex>` of the root CA's SubjectPublicKeyInfo (RFC 7469)."""


class EnrolmentState(StrEnum):
    """What was decided of a cluster that asked to join."""

    PENDING = "Pending"
    APPROVED = "Approved"
    REJECTED = "Rejected"


class Enrolment(WireModel):
    """A cluster that asked to join with a token that needs an admin's approval."""

    name: Name
    """The name it asks for."""
    cluster_id: UUID
    """The id that it has, or will have."""
    key_pin: str
    """`sha256:<hex>` of its key's SubjectPublicKeyInfo: its agent shows the same."""
    labels: Labels
    """Those it asks for, and those that its token presets."""
    facts: ClusterFacts
    address: str | None = None
    """Where it asked from."""
    state: EnrolmentState
    requested_at: Timestamp
    ends_at: Timestamp
    """A request that is pending then has ended; another token is needed."""
    decided_at: Timestamp | None = None
    decided_by: str | None = None
    reason: str | None = None


class EnrolmentDecision(WireModel):
    """The body of POST /enrolments/{name}/approve and …/reject; may be empty."""

    key_pin: Digest | None = None
    """Decide only about the request of this key, as its agent shows it."""
    reason: Reason | None = None
