"""What the engine needs from the rest of the agent, and what the rest sees of the engine.

The engine knows nothing of the control plane: documents come in, drafts of status events go out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Protocol
from uuid import UUID

from pydantic import Field, StringConstraints

from shared.contract.base import Digest, Name, WireModel
from shared.contract.desired import DesiredDocument
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.contract.status import Condition, DriftReport, Message, StatusEvent, StepSeconds


class EventDraft(WireModel):
    """A status event before the journal gives it id, sequence and time."""

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

    def to_event(self, event_id: UUID, sequence: int, occurred_at: datetime) -> StatusEvent:
        """The event that the journal keeps and the control plane gets."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return StatusEvent(id=event_id, sequence=sequence, occurred_at=occurred_at, **fields)


class StatusSink(Protocol):
    """Where the engine's reports go."""

    async def record(self, draft: EventDraft) -> None:
        """Return once the event is durable in the agent's journal."""
        ...


@dataclass(frozen=True)
class NotNow:
    """The cluster asks to be left alone (`spec.notNow` of its CR)."""

    until: datetime
    reason: str = ""


@dataclass(frozen=True)
class ReconcileGate:
    """What the cluster's own CR allows the engine to do."""

    suspend: bool = False
    """Touch nothing."""
    not_now: NotNow | None = None
    """Touch nothing until then."""
    allowed_namespaces: frozenset[str] | None = None
    """Namespaces that objects may be in; None allows all, and cluster-scoped objects too."""


@dataclass(frozen=True)
class ExtensionTally:
    """How the cluster's extensions are doing, for heartbeats and the CR's status."""

    total: int = 0
    ready: int = 0
    failed: int = 0
    drifted: int = 0


@dataclass(frozen=True)
class ExtensionStatus:
    """One extension as the CR's status shows it."""

    name: str
    revision: int
    ready: bool
    reason: ReasonCode
    message: str = ""


class Reconciler(Protocol):
    """The engine, as the rest of the agent sees it (`agent.reconcile.engine.Engine`)."""

    async def run(self) -> None:
        """Work until cancelled."""
        ...

    def submit(self, document: DesiredDocument, *, reconcile_allowed: ReconcileGate) -> None:
        """Take a complete document and the CR's gate; the newest wins; never blocks."""
        ...

    def tell_again(self) -> None:
        """Report how every extension is: what was reported before was lost. Never blocks."""
        ...

    def counters(self) -> ExtensionTally:
        """Numbers for the heartbeat."""
        ...

    def statuses(self) -> tuple[ExtensionStatus, ...]:
        """One line per extension, in order of name."""
        ...


@dataclass(frozen=True)
class ReconcileSettings:
    """How the engine works. Durations are in seconds where the name says so."""

    helm: Path
    """The helm binary, version 4."""
    kubectl: Path
    """The kubectl binary."""
    work_dir: Path
    """A private directory of the agent; survives no more than a process has to."""
    state_namespace: str = "arcbridge-system"
    """Where inventories and release marks are kept; the agent's own namespace."""
    kubeconfig: Path | None = None
    """None inside the cluster."""
    cluster: str | None = None
    """Name of the ArcBridgeCluster, where the cluster has several."""
    concurrency: int = 4
    """Extensions that are worked on at once."""
    tool_seconds: float = 300.0
    """Deadline of one helm or kubectl call, above the extension's own readiness timeout."""
    history_max: int = 5
    """Helm revisions that are kept per release."""
    prune_cap: int = 50
    """Objects that one cycle may delete; more needs a person (PruneCapped)."""
    max_attempts: int = 3
    """Attempts at one generation before Failed is the verdict."""
    retry_base_seconds: float = 5.0
    """Wait before the second attempt; doubles with each one."""
    retry_max_seconds: float = 300.0
    """The longest wait between attempts."""
    correction_attempts: int = 5
    """Attempts at correcting one drift before it is left Stalled."""
    correction_base_seconds: float = 2.0
    """Wait before the second correction; doubles with each one."""
    event_quiet_seconds: float = 0.5
    """After a watch event, wait this long for more before a drift check."""
    health_grace_seconds: float = 30.0
    """How long a ready extension may be unready before its health counts as lost."""
    own_pending_seconds: float = 2.0
    """How long a pending release of ours is looked at before it is freed; our helm dies with us."""
    foreign_pending_seconds: float = 300.0
    """The same for a release that someone else's helm may be working on."""
    termination_seconds: float = 120.0
    """How long deleted objects may take to go."""
    hosts_allowed: frozenset[str] = field(default_factory=frozenset)
    """Hosts that charts and archives may come from; empty allows every host."""
    private_hosts: frozenset[str] = field(default_factory=frozenset)
    """Hosts that content may come from although their address is private or loopback, and that the
    environment's proxy may be asked for."""
    private_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Private ranges that content may come from, whatever the host is called."""
    git_limit_mib: int = 256
    """Mebibytes that a Git server may send for one overlay."""

    @property
    def tool_deadline(self) -> timedelta:
        """`tool_seconds` as a duration."""
        return timedelta(seconds=self.tool_seconds)
