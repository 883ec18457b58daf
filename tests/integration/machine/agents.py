"""Clusters as rows, and their agents: what they have to say yet, and what they said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared.contract.states import ExtensionPhase
from shared.contract.status import StatusEvent
from shared.services.ids import new_id
from tests.integration.machine.snapshot import Reader, Row

_REASONS = {
    ExtensionPhase.READY: "UpgradeSucceeded",
    ExtensionPhase.REMOVED: "UninstallSucceeded",
    ExtensionPhase.FAILED: "UpgradeFailed",
    ExtensionPhase.APPLYING: "Progressing",
}


@dataclass
class Agent:
    """One cluster's agent. `reader` is the test's way to the rows that a cluster consists of."""

    reader: Reader
    clock: Callable[[], datetime]
    tenant: str
    cluster_id: UUID
    name: str
    bad: frozenset[int] = frozenset()
    """Revisions that fail here."""
    mute: frozenset[int] = frozenset()
    """Revisions of which it never says how they end."""
    epoch: int = 1
    sequence: int = 0
    connected: bool = True
    gone: bool = False
    resting_until: datetime | None = None
    was_sick: bool = False
    said: dict[int, ExtensionPhase] = field(default_factory=dict)
    journal: list[StatusEvent] = field(default_factory=list)
    sent: list[tuple[int, StatusEvent]] = field(default_factory=list)

    def assignment(self) -> Row | None:
        found = self.reader.rows(
            "select * from assignments where tenant_id = %s and cluster_id = %s",
            self.tenant,
            self.cluster_id,
        )
        return found[0] if found else None

    def act(self) -> bool:
        """One step towards what is assigned; True when there was something to do."""
        resting = self.resting_until is not None and self.resting_until > self.clock()
        row = None if resting or self.gone or not self.connected else self.assignment()
        if row is None:
            return False
        phase = self._next(row)
        if phase is not None:
            self.say(row, phase)
        return phase is not None

    def _next(self, row: Row) -> ExtensionPhase | None:
        last = self.said.get(row["generation"])
        if last is None:
            return ExtensionPhase.APPLYING
        if last is not ExtensionPhase.APPLYING:
            return None
        if row["absent"]:
            return ExtensionPhase.REMOVED
        if row["revision"] in self.mute:
            return None
        failed = row["revision"] in self.bad
        return ExtensionPhase.FAILED if failed else ExtensionPhase.READY

    def turn(self) -> None:
        """What was ready fails, and what failed is ready."""
        row = self.assignment()
        other = {
            ExtensionPhase.READY: ExtensionPhase.FAILED,
            ExtensionPhase.FAILED: ExtensionPhase.READY,
        }
        last = self.said.get(row["generation"]) if row else None
        if row is not None and last in other and self.connected and not self.gone:
            self.was_sick = True
            self.say(row, other[last])

    def say(self, row: Row, phase: ExtensionPhase) -> None:
        self.sequence += 1
        self.said[row["generation"]] = phase
        self.journal.append(
            StatusEvent.model_validate(
                {
                    "id": new_id(),
                    "sequence": self.sequence,
                    "occurredAt": self.clock(),
                    "extension": row["extension"],
                    "phase": phase,
                    "revision": row["revision"],
                    "specDigest": row["spec_digest"],
                    "rolloutId": row["rollout_id"],
                    "observedGeneration": row["generation"],
                    "reason": _REASONS[phase],
                }
            )
        )

    def go_offline(self) -> None:
        if self.connected and not self.gone:
            self.connected = False
            self._store("Offline")

    def come_back(self) -> None:
        """With a new session: what an older one sends from now on is stale."""
        if not self.gone:
            self.connected = True
            self.epoch += 1
            self._store("Connected")

    def rest(self, until: datetime | None) -> None:
        self.resting_until = until
        self.reader.rows(
            "update clusters set not_now_until = %s where tenant_id = %s and cluster_id = %s",
            until,
            self.tenant,
            self.cluster_id,
        )

    def _store(self, state: str) -> None:
        self.reader.rows(
            "update clusters set state = %s where tenant_id = %s and cluster_id = %s",
            state,
            self.tenant,
            self.cluster_id,
        )
        self.reader.rows(
            "update sessions set last_heartbeat = %s, epoch = %s"
            " where tenant_id = %s and cluster_id = %s",
            self.clock(),
            self.epoch,
            self.tenant,
            self.cluster_id,
        )


def join(reader: Reader, clock: Callable[[], datetime], tenant: str, name: str) -> Agent:
    """A cluster of the fleet, connected."""
    cluster_id = new_id()
    reader.rows(
        "insert into clusters (tenant_id, cluster_id, name, labels, state)"
        " values (%s, %s, %s, '{\"fleet\": \"yes\"}', 'Connected')",
        tenant,
        cluster_id,
        name,
    )
    reader.rows(
        "insert into sessions (tenant_id, cluster_id, epoch, last_heartbeat)"
        " values (%s, %s, 1, %s)",
        tenant,
        cluster_id,
        clock(),
    )
    return Agent(reader, clock, tenant, cluster_id, name)
