"""Take in what agents report: at least once, in any order, fenced by the session's epoch.

Writes only the reporting cluster's own rows, so that thousands of reports of one rollout never
wait for each other; what follows for the rollout is the pacer's to decide, which is nudged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.contract.errors import ErrorCode
from shared.contract.states import ExtensionPhase
from shared.contract.status import RefusedEvent, StatusAck, StatusBatch, StatusEvent
from shared.domain.errors import ArcBridgeError
from shared.domain.observation import Desired, Observed, is_newer, observe, speaks_of
from shared.services import audit, drift_reports, nudge
from shared.services.caller import Caller
from shared.services.failpoints import hit
from shared.services.hot_path import HotPath
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction
from shared.telemetry.tracing import span

_Q = load("status")


async def ingest(cp: HotPath, caller: Caller, batch: StatusBatch) -> StatusAck:
    """Store a batch; the answer says up to which sequence it is durable.

    Raises StaleEpoch when a newer session of the cluster exists, Unauthenticated for a cluster
    that is no longer registered. Storing a batch twice is the same as once.
    """
    if caller.cluster_id is None:
        raise ArcBridgeError(ErrorCode.FORBIDDEN, "only an agent reports status")
    parent = next((e.traceparent for e in batch.events if e.traceparent), caller.traceparent)
    with span("status.ingest", parent=parent):
        async with cp.db.tenant(caller.tenant) as tx:
            taken = await _ingest(tx, caller, caller.cluster_id, batch, cp.clock)
            hit("status.before_commit")
        hit("status.after_commit")
        await nudge.nudge(cp, caller.tenant, taken.rollouts)
    highest = max((event.sequence for event in batch.events), default=0)
    return StatusAck(durable_sequence=highest, refused=taken.refused)


@dataclass(frozen=True, slots=True)
class _Taken:
    refused: tuple[RefusedEvent, ...]
    rollouts: frozenset[UUID]
    """Rollouts that this batch may move."""


async def _ingest(
    tx: Transaction,
    caller: Caller,
    cluster_id: UUID,
    batch: StatusBatch,
    clock: Callable[[], datetime],
) -> _Taken:
    events = sorted(batch.events, key=lambda event: event.sequence)
    rows = await tx.all(
        _Q.admit,
        tenant=caller.tenant,
        cluster=cluster_id,
        extensions=sorted({event.extension for event in events}),
    )
    now = clock()  # the rows are locked: a soak must not begin before its report counts
    name = await _admit(tx, caller.tenant, cluster_id, batch, rows[0] if rows else None)
    known = {row["extension"]: _Assignment(row) for row in rows if row["extension"]}
    refused, fresh = [], []
    for event in events:
        assignment = known.get(event.extension)
        if assignment is None:
            refused.append(_unknown(event))
        elif assignment.take(event, batch.session_epoch, now):
            fresh.append(event)
    changed = [a for a in known.values() if a.observed != a.before]
    if changed or fresh:
        await tx.execute(
            _Q.take_in,
            tenant=caller.tenant,
            cluster=cluster_id,
            epoch=batch.session_epoch,
            observations=jsonb([_observation(a) for a in changed]),
            events=jsonb([_event(event) for event in fresh]),
            now=now,
        )
    entries = [entry for a in changed for entry in a.entries(name)]
    for event in fresh:
        if event.drift is not None:
            entries += await drift_reports.record(tx, caller.tenant, cluster_id, name, event, now)
    waiting = await _waiting_on(tx, caller.tenant, changed)
    await audit.append_all(tx, caller, entries)
    moved = frozenset(a.row["rollout_id"] for a in changed if a.moved)
    return _Taken(tuple(refused), moved | waiting)


async def _waiting_on(
    tx: Transaction, tenant: str, changed: Sequence[_Assignment]
) -> frozenset[UUID]:
    """Rollouts of other extensions that may go on, because of what became of these here."""
    ready = [a.row["extension"] for a in changed if a.became(ExtensionPhase.READY)]
    removed = [a.row["extension"] for a in changed if a.became(ExtensionPhase.REMOVED)]
    if not ready and not removed:
        return frozenset()
    rows = await tx.all(_Q.waiting_on, tenant=tenant, ready=ready, removed=removed)
    return frozenset(row["rollout_id"] for row in rows)


async def _admit(
    tx: Transaction, tenant: str, cluster_id: UUID, batch: StatusBatch, row: Row | None
) -> str:
    """The cluster's name. Raises StaleEpoch and Unauthenticated."""
    if row is None:
        raise ArcBridgeError(ErrorCode.UNAUTHENTICATED, "the cluster is not registered")
    newest = row["newest_epoch"] or 0
    if batch.session_epoch < newest:
        raise ArcBridgeError(
            ErrorCode.STALE_EPOCH,
            f"session {batch.session_epoch} is over: session {newest} of this cluster is newer",
        )
    if batch.session_epoch > newest:
        # Taken, it would make the reports of the session that follows look old.
        raise ArcBridgeError(
            ErrorCode.STALE_EPOCH,
            f"session {batch.session_epoch} is not known here, the newest is {newest}: the "
            "database was restored to an earlier moment; connect again",
        )
    if row["not_now_until"] != batch.not_now_until:
        await tx.execute(
            _Q.set_not_now, tenant=tenant, cluster=cluster_id, until=batch.not_now_until
        )
    name: str = row["name"]
    return name


class _Assignment:
    """One assignment while a batch is folded into it."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.desired = Desired(row["rollout_id"], row["spec_digest"], row["generation"])
        self.before = Observed(
            epoch=row["epoch"],
            sequence=row["sequence"],
            generation=row["observed_generation"],
            phase=ExtensionPhase(row["phase"]) if row["phase"] else None,
            ready_since=row["ready_since"],
            failed_generation=row["failed_generation"],
            failed_reason=row["failed_reason"],
            failed_message=row["failed_message"],
            reason=row["reason"],
            unheld_at=row["unheld_at"],
        )
        self.observed = self.before
        self.moved = False
        """A report ended the release that stands, or took an end back: its rollout may move. That a
        cluster has begun, or still works on it, is seen by the next tick."""

    def take(self, event: StatusEvent, epoch: int, now: datetime) -> bool:
        """Fold one event in; True when it is newer than all before it."""
        newer = is_newer(self.observed, event, epoch)
        self.observed = observe(self.desired, self.observed, event, epoch, now)
        if speaks_of(self.desired, event) and self.observed != self.before:
            begun = event.phase is ExtensionPhase.APPLYING and not self._had_ended
            self.moved = self.moved or not begun
        return newer

    @property
    def _had_ended(self) -> bool:
        """Whether the release that stands had an end before this batch."""
        at_it = self.before.generation == self.desired.generation
        return at_it and self.before.phase not in (None, ExtensionPhase.APPLYING)

    def became(self, phase: ExtensionPhase) -> bool:
        """True when the reports brought it to this phase, or to it at another generation."""
        was = (self.before.phase, self.before.generation)
        return self.observed.phase is phase and (phase, self.observed.generation) != was

    def entries(self, cluster: str) -> list[audit.Entry]:
        """What the trail remembers: failures, once each. Successes stand in the targets."""
        after = self.observed
        if after.failed_generation == self.before.failed_generation or after.failed_reason is None:
            return []
        event = after.event
        return [
            audit.Entry(
                action="cluster.extension.failed",
                subject=f"cluster/{cluster}",
                reason=event.reason if event and event.phase is ExtensionPhase.FAILED else None,
                message=f"{self.row['extension']}: {after.failed_reason}: {after.failed_message}",
                data={
                    "extension": self.row["extension"],
                    "revision": self.row["revision"],
                    "rollout": str(self.row["rollout_id"]),
                },
            )
        ]


def _observation(assignment: _Assignment) -> Mapping[str, Any]:
    """The row to store: of the newest event, or as it was where only a failure came late."""
    row, after = assignment.row, assignment.observed
    kept: dict[str, Any] = {
        "extension": row["extension"],
        "epoch": after.epoch,
        "sequence": after.sequence,
        "observed_generation": after.generation,
        "phase": after.phase.value if after.phase else None,
        "ready_since": after.ready_since.isoformat() if after.ready_since else None,
        "failed_generation": after.failed_generation,
        "failed_reason": after.failed_reason,
        "failed_message": after.failed_message,
        "unheld_at": after.unheld_at.isoformat() if after.unheld_at else None,
    }
    event = after.event
    if event is None:
        rollout = row["observed_rollout"]
        return kept | {
            "observed_revision": row["observed_revision"],
            "observed_digest": row["observed_digest"],
            "observed_rollout": str(rollout) if rollout else None,
            "reason": row["reason"],
            "message": row["message"],
            "attempt": row["attempt"],
            "conditions": row["conditions"],
            "seconds": row["seconds"],
            "drift_checked_at": None,
        }
    wire = event.to_wire()
    return kept | {
        "observed_revision": event.revision,
        "observed_digest": event.spec_digest,
        "observed_rollout": str(event.rollout_id),
        "reason": event.reason.value,
        "message": event.message,
        "attempt": event.attempt,
        "conditions": wire.get("conditions", []),
        "seconds": wire.get("seconds"),
        "drift_checked_at": event.drift.checked_at.isoformat() if event.drift else None,
    }


def _event(event: StatusEvent) -> Mapping[str, Any]:
    return {"id": str(event.id), "sequence": event.sequence, "body": event.to_wire()}


def _unknown(event: StatusEvent) -> RefusedEvent:
    return RefusedEvent(
        id=event.id,
        code=ErrorCode.NOT_FOUND,
        detail=f"extension {event.extension} was never released to this cluster",
    )
