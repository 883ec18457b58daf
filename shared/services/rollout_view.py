"""One consistent, bounded read of a rollout for the planner; it holds the rollout's row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from shared.contract.rollout import WaitingFor
from shared.contract.source import Source
from shared.contract.states import (
    RolloutKind,
    RolloutState,
)
from shared.contract.strategy import RolloutStrategy
from shared.planner.limits import limits
from shared.planner.pacing import CALM
from shared.planner.view import (
    RolloutView,
    StageView,
    TargetView,
)
from shared.planner.windows import OPEN, judge_windows
from shared.services import adaptive_pace, freezes
from shared.services.dependency_gate import DependencyGate, dependency_gate
from shared.services.view_rows import stage_view, target_view
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("pacer")

BATCH: Final = 2_000
"""Targets of one kind that one look takes in; the next look takes the next ones."""
UNREACHABLE_SECONDS: Final = 5
"""How often to look over all that wait for those that cannot act, while others fill the places."""
ABSENT_AFTER: Final = timedelta(minutes=2)
"""A rollout that is due is looked at within seconds; unlooked at for so long, nobody was there."""
LACKING: Final = 50
"""Targets of each stage that are asked what they wait for: for the words, not for deciding."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What the planner is told, and what the pacer needs beside it."""

    view: RolloutView
    now: datetime
    """When the row was taken: the time that the view is of."""
    extension: str
    revision: int | None
    rollback_of: UUID | None
    origin: str | None
    """Where the revision's artifact comes from; read only where the pace counts by it."""
    traceparent: str | None


async def look(
    tx: Transaction, tenant: str, rollout_id: UUID, clock: Callable[[], datetime], *, wait: bool
) -> Looked | None:
    """Take the rollout's row and read what the planner needs.

    None when there is no such rollout or, unless `wait`, another pacer has it. The time is read
    once the row is taken: a pacer that had to wait would else decide at a time before that of the
    decisions it builds on.
    """
    await freezes.hold_as_they_are(tx, tenant)
    query = _Q.lock_rollout if wait else _Q.try_lock_rollout
    row = await tx.one(query, tenant=tenant, rollout=rollout_id)
    if row is None:
        return None
    now = clock()
    absence = _absence(row, now)
    if absence is not None:
        await tx.execute(_Q.forgive_absence, tenant=tenant, rollout=rollout_id, absence=absence)
    told = await outline(tx, tenant, row, now)
    gate = await dependency_gate(tx, tenant, row)
    reader = _Targets(tx, tenant, row["extension"], told, now, gate)
    pacing = adaptive_pace.restored(told.strategy.pace, row["pacing"], now)
    pressure = CALM
    if pacing is not None:
        pressure = await adaptive_pace.pressure(
            tx, tenant, rollout_id, pacing, row["plan_after"], now
        )
    in_flight = await reader.in_flight()
    candidates = await reader.candidates(len(in_flight))
    view = replace(
        told,
        pacing=pacing,
        pressure=pressure,
        in_flight=in_flight,
        candidates=candidates.found,
        lacking=await reader.lacking(),
        unreachable=await reader.unreachable()
        if candidates.short or _is_time(row["planned_at"], now)
        else (),
        returned=await reader.returned(),
        unreverted=await reader.unreverted(),
    )
    return Looked(
        view,
        now,
        row["extension"],
        row["revision"],
        row["rollback_of"],
        Source.model_validate(row["source"]).origin if row["source"] else None,
        row["traceparent"],
    )


async def outline(tx: Transaction, tenant: str, row: Row, now: datetime) -> RolloutView:
    """A rollout by its row with its stages, without any of its targets."""
    rollout_id, extension = row["rollout_id"], row["extension"]
    kind = RolloutKind(row["kind"])
    strategy = RolloutStrategy.model_validate(row["strategy"])
    behind = None
    freeze = OPEN
    if kind is not RolloutKind.ROLLBACK:
        behind = await tx.value(
            _Q.running_rollback, tenant=tenant, extension=extension, rollout=rollout_id
        )
        windows = await freezes.of_rollout(
            tx, tenant, extension, strategy.windows, row["freeze_override_until"]
        )
        freeze = judge_windows(windows, now)
    rows = await tx.all(_Q.stages, tenant=tenant, rollout=rollout_id)
    waiting = row["waiting_for"]
    return RolloutView(
        rollout_id=rollout_id,
        kind=kind,
        state=RolloutState(row["state"]),
        strategy=strategy,
        created_at=row["created_at"],
        stages=tuple(stage_view(stage) for stage in rows),
        quarantined=row["quarantined"],
        behind=behind,
        freeze=freeze,
        waiting_for=WaitingFor.model_validate(waiting) if waiting else None,
    )


def _is_time(before: datetime | None, now: datetime) -> bool:
    """Whether this look is the first one within its UNREACHABLE_SECONDS."""
    if before is None:
        return True
    slot = UNREACHABLE_SECONDS
    return before.timestamp() // slot != now.timestamp() // slot


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The next targets to release; `short` where there are fewer than places for them."""

    found: tuple[TargetView, ...]
    short: bool


def _absence(row: Row, now: datetime) -> timedelta | None:
    """How long nobody looked at a rollout that was due; None while someone did.

    The control plane was away, the tenant suspended, or the database restored. Without this every
    target in flight would be out of time at the first look, before its agent could say a word.
    """
    looked, due = row["planned_at"], row["plan_after"]
    if looked is None or due is None or now - max(looked, due) < ABSENT_AFTER:
        return None
    absence: timedelta = now - looked
    return absence


@dataclass(frozen=True, slots=True)
class _Targets:
    """Reads batches of targets, and only those that the stages' counters say there are."""

    tx: Transaction
    tenant: str
    extension: str
    told: RolloutView
    now: datetime
    gate: DependencyGate

    @property
    def _open(self) -> list[StageView]:
        return [stage for stage in self.told.stages if stage.opened_at is not None]

    @property
    def _anyone(self) -> bool:
        return self.told.kind is RolloutKind.ROLLBACK

    async def in_flight(self) -> tuple[TargetView, ...]:
        if not any(stage.in_flight for stage in self.told.stages):
            return ()
        rows = await self.tx.all(
            _Q.in_flight,
            tenant=self.tenant,
            rollout=self.told.rollout_id,
            stages=[stage.index for stage in self.told.stages],
            soaks=[self.told.strategy.stages[stage.index].soak for stage in self.told.stages],
            offline_after=self.told.strategy.offline.after,
            deadline=self.told.strategy.progress_deadline,
            anyone=self._anyone,
            now=self.now,
            limit=BATCH,
        )
        return tuple(target_view(row) for row in rows)

    async def candidates(self, leaving: int) -> _Candidates:
        """As many as have a place, or will once the `leaving` ones have left theirs."""
        wanted = {}
        for stage in self._open:
            places = limits(
                self.told.kind, self.told.strategy, self.told.stages, stage.index
            ).concurrent
            free = min(places - stage.in_flight + leaving, places, BATCH)
            if stage.to_apply and free > 0:
                wanted[stage.index] = free
        if not wanted:
            return _Candidates((), short=True)
        rows = await self.tx.all(
            _Q.candidates,
            tenant=self.tenant,
            rollout=self.told.rollout_id,
            extension=self.extension,
            stages=list(wanted),
            wanted=list(wanted.values()),
            anyone=self._anyone,
            ungated=self.gate.is_open,
            needed=list(self.gate.needed),
            coming=list(self.gate.coming),
            now=self.now,
        )
        found = tuple(target_view(row) for row in rows)
        return _Candidates(found, short=len(found) < sum(wanted.values()))

    async def lacking(self) -> tuple[TargetView, ...]:
        stages = [stage.index for stage in self._open if stage.to_apply]
        if not stages or self.gate.is_open:
            return ()
        rows = await self.tx.all(
            _Q.lacking,
            tenant=self.tenant,
            rollout=self.told.rollout_id,
            extension=self.extension,
            stages=stages,
            needed=list(self.gate.needed),
            coming=list(self.gate.coming),
            now=self.now,
            limit=LACKING,
        )
        return tuple(target_view(row) for row in rows)

    async def unreachable(self) -> tuple[TargetView, ...]:
        stages = [stage.index for stage in self._open if stage.to_apply]
        if not stages:
            return ()
        rows = await self.tx.all(
            _Q.unreachable,
            tenant=self.tenant,
            rollout=self.told.rollout_id,
            stages=stages,
            anyone=self._anyone,
            now=self.now,
            limit=BATCH,
        )
        return tuple(target_view(row) for row in rows)

    async def returned(self) -> tuple[TargetView, ...]:
        stages = [stage.index for stage in self._open if stage.skipped]
        if not stages or self.told.kind is RolloutKind.ROLLBACK:
            return ()
        rows = await self.tx.all(
            _Q.returned,
            tenant=self.tenant,
            rollout=self.told.rollout_id,
            stages=stages,
            now=self.now,
            limit=BATCH,
        )
        return tuple(target_view(row) for row in rows)

    async def unreverted(self) -> tuple[TargetView, ...]:
        stages = [stage.index for stage in self.told.stages if stage.failed]
        if not stages or self.told.kind not in (RolloutKind.PUBLISH, RolloutKind.PLACEMENT):
            return ()
        rows = await self.tx.all(
            _Q.unreverted,
            tenant=self.tenant,
            rollout=self.told.rollout_id,
            stages=stages,
            limit=BATCH,
        )
        return tuple(target_view(row) for row in rows)
