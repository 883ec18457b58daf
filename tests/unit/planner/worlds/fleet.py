"""Clusters with their agents: what they should run, and what they say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.contract.status import StatusEvent
from shared.domain.observation import Observed


def digest_of(revision: int) -> str:
    return f"sha256:{revision:064x}"


@dataclass(frozen=True)
class Assigned:
    """What a cluster should run."""

    revision: int
    digest: str
    absent: bool
    generation: int
    rollout_id: UUID


def event_of(assigned: Assigned, phase: ExtensionPhase, sequence: int) -> StatusEvent:
    return StatusEvent.model_construct(
        sequence=sequence,
        extension="app",
        phase=phase,
        revision=assigned.revision,
        spec_digest=assigned.digest,
        rollout_id=assigned.rollout_id,
        observed_generation=assigned.generation,
        reason=ReasonCode.PROGRESSING,
        message="",
        conditions=(),
    )


@dataclass
class Cluster:
    """A cluster with its agent."""

    id: UUID
    name: str
    bad: frozenset[int] = frozenset()
    """Revisions that fail here."""
    mute: frozenset[int] = frozenset()
    """Revisions of which it never says more than that it began."""
    connected: bool = True
    silent_since: datetime | None = None
    not_now_until: datetime | None = None
    gone: bool = False
    epoch: int = 1
    sequence: int = 0
    assigned: Assigned | None = None
    observed: Observed = field(default_factory=Observed)
    report: StatusEvent | None = None
    goods: list[tuple[int, str]] = field(default_factory=list)
    journal: list[StatusEvent] = field(default_factory=list)
    delivered: list[tuple[int, StatusEvent]] = field(default_factory=list)
    said: dict[int, ExtensionPhase] = field(default_factory=dict)
    """Generation -> what the agent said of it last."""

    def say(self, phase: ExtensionPhase) -> None:
        assert self.assigned is not None
        self.sequence += 1
        self.said[self.assigned.generation] = phase
        self.journal.append(event_of(self.assigned, phase, self.sequence))

    def act(self, now: datetime) -> bool:
        """One step of the agent; True when there was something to do."""
        resting = self.not_now_until is not None and self.not_now_until > now
        if self.assigned is None or not self.connected or self.gone or resting:
            return False
        last = self.said.get(self.assigned.generation)
        if last is None:
            self.say(ExtensionPhase.APPLYING)
            return True
        if last is not ExtensionPhase.APPLYING:
            return False
        if self.assigned.absent:
            self.say(ExtensionPhase.REMOVED)
        elif self.assigned.revision in self.mute:
            return False
        elif self.assigned.revision in self.bad:
            self.say(ExtensionPhase.FAILED)
        else:
            self.say(ExtensionPhase.READY)
        return True
