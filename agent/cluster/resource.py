"""The `ArcBridgeCluster` resource: what its spec asks for. Reading only; status is elsewhere.

The API server has checked the spec against the CRD's schema. It is checked again here, because a
field that means "leave me alone" must never be read as nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue, ValidationError

from agent.errors import AgentError
from agent.reconcile.seam import NotNow, ReconcileGate
from shared.contract.base import Digest, Labels, Name, Text, Timestamp, WireModel

API_VERSION = "arcbridge.io/v1"
KIND = "ArcBridgeCluster"
UNTIL_LIFTED = datetime(9999, 12, 31, tzinfo=UTC)
"""What a suspended cluster tells the control plane, which skips it like one that said `notNow`."""


class InvalidCluster(AgentError):
    """The resource's spec cannot be used."""


class SpecModel(WireModel):
    """A part of the spec; a field of a later release's CRD is left alone."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")


class NotNowSpec(SpecModel):
    """`spec.notNow`."""

    until: Timestamp
    reason: Text = ""


class ClusterSpec(SpecModel):
    """`spec`."""

    control_plane_url: str
    """Without `/api/v1`; https, or http on the same machine."""
    ca_pin: Digest
    """`sha256:<hex>` of the root CA's SubjectPublicKeyInfo."""
    cluster_name: Name
    tenant: Name | None = None
    relay_address: str | None = None
    """`host:port` to use instead of the one that the control plane names."""
    labels: Labels = Field(default_factory=dict)
    """Sent once, with the registration; later changes are made at the control plane."""
    heartbeat_seconds: float | None = Field(default=None, gt=0)
    """More often than the control plane asks for; never less often."""
    suspend: bool = False
    """Reconcile nothing; heartbeats and inventory go on."""
    not_now: NotNowSpec | None = None
    allowed_namespaces: tuple[str, ...] | None = None
    """Namespaces that extensions may use; None for all, and for cluster-scoped objects too."""
    bootstrap_secret: str = "arcbridge-bootstrap"  # noqa: S105 - the name of a Secret
    """The Secret with the bootstrap token under `token`, in the agent's namespace."""

    def peace_until(self, now: datetime) -> datetime | None:
        """Until when the cluster asks to be left alone; None where it does not."""
        if self.suspend:
            return UNTIL_LIFTED
        over = self.not_now is None or self.not_now.until <= now
        return None if over or self.not_now is None else self.not_now.until

    def gate(self) -> ReconcileGate:
        """What the engine may do."""
        allowed = self.allowed_namespaces
        not_now = self.not_now
        return ReconcileGate(
            suspend=self.suspend,
            not_now=None if not_now is None else NotNow(not_now.until, not_now.reason),
            allowed_namespaces=None if allowed is None else frozenset(allowed),
        )


class TakenDocument(SpecModel):
    """What the status says of the newest document that was in force."""

    cluster_id: UUID
    desired_signed_at: Timestamp
    """Full seconds: rounded down, so that the same document is never older."""


class ClusterResource(WireModel):
    """One ArcBridgeCluster."""

    name: str
    uid: str
    generation: int
    spec: ClusterSpec
    conditions: tuple[dict[str, JsonValue], ...] = ()
    """As the status holds them."""
    taken: TakenDocument | None = None

    @classmethod
    def read(cls, obj: dict[str, Any]) -> ClusterResource:
        """From the API server's object. Raises InvalidCluster with the path of what is wrong."""
        metadata, status = obj["metadata"], obj.get("status") or {}
        try:
            spec = ClusterSpec.model_validate(obj.get("spec") or {})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            path = ".".join(str(part) for part in ("spec", *first["loc"]))
            raise InvalidCluster(f"{path}: {first['msg']}") from error
        return cls(
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            generation=metadata.get("generation", 0),
            spec=spec,
            conditions=tuple(status.get("conditions") or ()),
            taken=_taken(status),
        )


def _taken(status: dict[str, Any]) -> TakenDocument | None:
    try:
        return TakenDocument.model_validate(status)
    except ValidationError:
        return None
