"""One consistent, bounded read of a rollout for the planner; it holds the rollout's row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.contract.extension import Source
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import (
    ExtensionPhase,
    RolloutKind,
    RolloutState,
    SkipReason,
    TargetState,
)
from shared.contract.strategy import RolloutStrategy
from shared.planner.limits import limits
from shared.planner.pacing import CALM
from shared.planner.view import (
    Found,
    GivenUp,
    Lack,
    Reach,
    Report,
    RolloutView,
    StageView,
    TargetView,
)
from shared.planner.windows import OPEN, judge_windows
from shared.services import adaptive_pace, freezes
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("pacer")

_REASONS: Final = {reason.value: reason for reason in ReasonCode}

BATCH: Final = 2_000
"""Targets of one kind that one look takes in; the next look takes the next ones."""
LACKING: Final = 50
"""Targets of each stage that are asked what they wait for: for the words, not for deciding."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What the planner is told, and what the pacer needs beside it."""

    view: RolloutView
    extension: str
    revision: int | None
    rollback_of: UUID | None
    origin: str | None
    """Where the revision's artifact comes from; read only where the pace counts by it."""
    traceparent: str | None


async def look(
    tx: Transaction, tenant: str, rollout_id: UUID, now: datetime, *, wait: bool
) -> Looked | None:
    """Take the rollout's row and read what the planner needs.

    None when there is no such rollout or, unless `wait`, another pacer has it.
    """
    await freezes.hold_as_they_are(tx, tenant)
    query = _Q.lock_rollout if wait else _Q.try_lock_rollout
    row = await tx.one(query, tenant=tenant, rollout=rollout_id)
    if row is None:
        return None
    kind = RolloutKind(row["kind"])
    strategy = RolloutStrategy.model_validate(row["strategy"])
    behind = None
    if kind is not RolloutKind.ROLLBACK:
        behind = await tx.value(
            _Q.running_rollback, tenant=tenant, extension=row["extension"], rollout=rollout_id
        )
    freeze = OPEN
    if kind is not RolloutKind.ROLLBACK:
        windows = await freezes.of_rollout(
            tx, tenant, row["extension"], strategy.windows, row["freeze_override_until"]
        )
        freeze = judge_windows(windows, now)
    rows = await tx.all(_Q.stages, tenant=tenant, rollout=rollout_id)
    stages = tuple(stage_view(stage) for stage in rows)
    gate = await dependency_gate(tx, tenant, row)
    reader = _Targets(tx, tenant, rollout_id, row["extension"], kind, strategy, stages, now, gate)
    waiting = row["waiting_for"]
    pacing = adaptive_pace.restored(strategy.pace, row["pacing"], now)
    pressure = CALM
    if pacing is not None:
        pressure = await adaptive_pace.pressure(
            tx, tenant, rollout_id, pacing, row["plan_after"], now
        )
    view = RolloutView(
        rollout_id=rollout_id,
        kind=kind,
        state=RolloutState(row["state"]),
        strategy=strategy,
        created_at=row["created_at"],
        stages=stages,
        quarantined=row["quarantined"],
        behind=behind,
        freeze=freeze,
        waiting_for=WaitingFor.model_validate(waiting) if waiting else None,
        pacing=pacing,
        pressure=pressure,
        in_flight=(in_flight := await reader.in_flight()),
        candidates=await reader.candidates(len(in_flight)),
        lacking=await reader.lacking(),
        unreachable=await reader.unreachable(),
        returned=await reader.returned(),
        unreverted=await reader.unreverted(),
    )
    return Looked(
        view,
        row["extension"],
        row["revision"],
        row["rollback_of"],
        Source.model_validate(row["source"]).origin if row["source"] else None,
        row["traceparent"],
    )


@dataclass(frozen=True, slots=True)
class DependencyGate:
    """What the rollout's targets have to wait for on their own clusters."""

    needed: tuple[str, ...] = ()
    """The extensions that its revision depends on."""
    coming: tuple[UUID, ...] = ()
    """Rollouts of those that have to reach a cluster first."""
    is_needed: bool = False
    """Some revision of another extension depends on this one."""

    @property
    def is_open(self) -> bool:
        """True when no target can have anything to wait for."""
        return not self.needed and not self.is_needed


async def dependency_gate(tx: Transaction, tenant: str, row: Row) -> DependencyGate:
    """The gate of a rollout by its row; a rollback has none: it must always get through."""
    if RolloutKind(row["kind"]) is RolloutKind.ROLLBACK:
        return DependencyGate()
    needed = tuple(row["depends_on"])
    coming: tuple[UUID, ...] = ()
    if needed:
        found = await tx.all(
            _Q.coming, tenant=tenant, needed=list(needed), rollout=row["rollout_id"]
        )
        coming = tuple(each["rollout_id"] for each in found)
    return DependencyGate(needed, coming, row["is_needed"])


def stage_view(row: Row) -> StageView:
    """A stage's row as the planner sees it."""
    return StageView(
        index=row["stage"],
        name=row["name"],
        total=row["total"],
        to_apply=row["to_apply"],
        in_flight=row["in_flight"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        skipped=row["skipped"],
        forgiven=row["forgiven"],
        opened_at=row["opened_at"],
        passed_at=row["passed_at"],
        approved_at=row["approved_at"],
        first_release=row["first_release"],
        first_ready=row["first_ready"],
    )


@dataclass(frozen=True, slots=True)
class _Targets:
    """Reads batches of targets, and only those that the stages' counters say there are."""

    tx: Transaction
    tenant: str
    rollout_id: UUID
    extension: str
    kind: RolloutKind
    strategy: RolloutStrategy
    stages: Sequence[StageView]
    now: datetime
    gate: DependencyGate

    @property
    def _open(self) -> list[StageView]:
        return [stage for stage in self.stages if stage.opened_at is not None]

    @property
    def _anyone(self) -> bool:
        return self.kind is RolloutKind.ROLLBACK

    async def in_flight(self) -> tuple[TargetView, ...]:
        if not any(stage.in_flight for stage in self.stages):
            return ()
        rows = await self.tx.all(
            _Q.in_flight,
            tenant=self.tenant,
            rollout=self.rollout_id,
            stages=[stage.index for stage in self.stages],
            soaks=[self.strategy.stages[stage.index].soak for stage in self.stages],
            offline_after=self.strategy.offline.after,
            deadline=self.strategy.progress_deadline,
            anyone=self._anyone,
            now=self.now,
            limit=BATCH,
        )
        return tuple(_target(row) for row in rows)

    async def candidates(self, leaving: int) -> tuple[TargetView, ...]:
        """As many as have a place, or will once the `leaving` ones have left theirs."""
        wanted = {}
        for stage in self._open:
            places = limits(self.kind, self.strategy, self.stages, stage.index).concurrent
            free = min(places - stage.in_flight + leaving, places, BATCH)
            if stage.to_apply and free > 0:
                wanted[stage.index] = free
        if not wanted:
            return ()
        rows = await self.tx.all(
            _Q.candidates,
            tenant=self.tenant,
            rollout=self.rollout_id,
            extension=self.extension,
            stages=list(wanted),
            wanted=list(wanted.values()),
            anyone=self._anyone,
            ungated=self.gate.is_open,
            needed=list(self.gate.needed),
            coming=list(self.gate.coming),
            now=self.now,
        )
        return tuple(_target(row) for row in rows)

    async def lacking(self) -> tuple[TargetView, ...]:
        stages = [stage.index for stage in self._open if stage.to_apply]
        if not stages or self.gate.is_open:
            return ()
        rows = await self.tx.all(
            _Q.lacking,
            tenant=self.tenant,
            rollout=self.rollout_id,
            extension=self.extension,
            stages=stages,
            needed=list(self.gate.needed),
            coming=list(self.gate.coming),
            now=self.now,
            limit=LACKING,
        )
        return tuple(_target(row) for row in rows)

    async def unreachable(self) -> tuple[TargetView, ...]:
        stages = [stage.index for stage in self._open if stage.to_apply]
        if not stages:
            return ()
        rows = await self.tx.all(
            _Q.unreachable,
            tenant=self.tenant,
            rollout=self.rollout_id,
            stages=stages,
            anyone=self._anyone,
            now=self.now,
            limit=BATCH,
        )
        return tuple(_target(row) for row in rows)

    async def returned(self) -> tuple[TargetView, ...]:
        stages = [stage.index for stage in self._open if stage.skipped]
        if not stages or self.kind is RolloutKind.ROLLBACK:
            return ()
        rows = await self.tx.all(
            _Q.returned,
            tenant=self.tenant,
            rollout=self.rollout_id,
            stages=stages,
            now=self.now,
            limit=BATCH,
        )
        return tuple(_target(row) for row in rows)

    async def unreverted(self) -> tuple[TargetView, ...]:
        stages = [stage.index for stage in self.stages if stage.failed]
        if not stages or self.kind not in (RolloutKind.PUBLISH, RolloutKind.PLACEMENT):
            return ()
        rows = await self.tx.all(
            _Q.unreverted,
            tenant=self.tenant,
            rollout=self.rollout_id,
            stages=stages,
            limit=BATCH,
        )
        return tuple(_target(row) for row in rows)


def _target(row: Row) -> TargetView:
    return TargetView(
        cluster_id=row["cluster_id"],
        cluster=row["cluster"],
        stage=row["stage"],
        position=row["position"],
        state=TargetState(row["state"]),
        goal_digest=row["goal_digest"],
        goal_absent=row["goal_absent"],
        goal_quarantined=row.get("goal_quarantined", False),
        generation=row["generation"],
        released_at=row["released_at"],
        ready_since=row["ready_since"],
        skip_reason=SkipReason(row["skip_reason"]) if row["skip_reason"] else None,
        reach=Reach(row["connected"], row["silent_since"], row["not_now_until"], row["gone"]),
        lacks=_lack(row),
        report=_report(row),
        given_up=_given_up(row),
    )


def _lack(row: Row) -> Lack | None:
    if row.get("lacks") is None:
        return None
    return Lack(row["lacks"], Found(row["lacks_found"]), row["lacks_since"])


def _report(row: Row) -> Report | None:
    if row.get("report_phase") is None:
        return None
    return Report(
        rollout_id=row["observed_rollout"],
        digest=row["observed_digest"],
        generation=row["observed_generation"],
        phase=ExtensionPhase(row["report_phase"]),
        reason=_REASONS[row["report_reason"]],
        message=row["report_message"],
        ready_since=row["report_ready_since"],
        unheld_at=row["report_unheld_at"],
    )


def _given_up(row: Row) -> GivenUp | None:
    if row.get("failed_generation") is None:
        return None
    return GivenUp(
        row["failed_generation"], _REASONS[row["failed_reason"]], row["failed_message"] or ""
    )
