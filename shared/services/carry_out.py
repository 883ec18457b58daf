"""Carry the planner's decisions out: each kind as one statement over the whole set, in one order.

Runs in the transaction that holds the rollout's row, so what was decided still holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.contract.states import RolloutKind, RolloutState
from shared.planner.decisions import (
    AwaitApproval,
    Decision,
    End,
    MoveTarget,
    OpenStage,
    PassStage,
    Pause,
    Regoal,
    Release,
    Revert,
    RollBack,
    SetPace,
    Start,
)
from shared.services import audit
from shared.services.caller import Caller
from shared.services.rollout_view import Looked
from shared.services.start import Started
from shared.services.take_back import Forward, quarantine, take_back
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("pacer")


@dataclass(slots=True)
class Done:
    """What was carried out."""

    released: int = 0
    reverted: int = 0
    rollback: Started | None = None


async def carry_out(
    tx: Transaction,
    caller: Caller,
    looked: Looked,
    decisions: Sequence[Decision],
    traceparent: str | None,
) -> Done:
    """Write what was decided."""
    act = _Act(tx, caller, looked, traceparent)
    done = Done()
    await act.move([d for d in decisions if isinstance(d, MoveTarget)])
    done.reverted = await act.revert([d.cluster_id for d in decisions if isinstance(d, Revert)])
    await act.regoal([d.cluster_id for d in decisions if isinstance(d, Regoal)])
    entries: list[audit.Entry] = []
    for decision in decisions:
        match decision:
            case MoveTarget() | Revert() | Regoal():
                continue
            case Release():
                done.released += await act.release(decision)
                continue
            case PassStage():
                await act.stages(_Q.pass_stages, decision.stage)
            case OpenStage():
                await act.stages(_Q.open_stages, decision.stage)
            case Start():
                await act.set_state(RolloutState.RUNNING)
            case AwaitApproval():
                if looked.view.state is RolloutState.AWAITING_APPROVAL:
                    continue
                await act.set_state(RolloutState.AWAITING_APPROVAL)
            case Pause():
                await act.set_state(RolloutState.PAUSED)
            case RollBack():
                done.rollback = await act.roll_back(decision)
            case SetPace():
                pass  # it is kept with the plan's pacing; here it is an event
            case End():
                await act.end(decision)
        entries.append(_entry(looked, decision))
    await audit.append_all(tx, caller, entries)
    return done


@dataclass(frozen=True, slots=True)
class _Act:
    """The statements, with what they all take."""

    tx: Transaction
    caller: Caller
    looked: Looked
    traceparent: str | None

    @property
    def _common(self) -> dict[str, Any]:
        return {"tenant": self.caller.tenant, "rollout": self.looked.view.rollout_id}

    async def move(self, moves: Sequence[MoveTarget]) -> None:
        if moves:
            await self.tx.execute(
                _Q.move_targets,
                **self._common,
                extension=self.looked.extension,
                moves=jsonb([_move(move) for move in moves]),
                now=self.looked.now,
            )

    async def revert(self, clusters: list[UUID]) -> int:
        if not clusters:
            return 0
        return await self.tx.execute(
            _Q.revert,
            **self._common,
            extension=self.looked.extension,
            clusters=clusters,
            now=self.looked.now,
            traceparent=self.traceparent,
        )

    async def regoal(self, clusters: list[UUID]) -> None:
        if clusters:
            await self.tx.execute(
                _Q.regoal, **self._common, extension=self.looked.extension, clusters=clusters
            )

    async def release(self, decision: Release) -> int:
        released: int = await self.tx.value(
            _Q.release,
            **self._common,
            extension=self.looked.extension,
            clusters=list(decision.clusters),
            now=self.looked.now,
            traceparent=self.traceparent,
        )
        return released

    async def stages(self, query: Any, stage: int) -> None:
        await self.tx.execute(query, **self._common, stages=[stage], now=self.looked.now)

    async def set_state(self, state: RolloutState) -> None:
        await self.tx.execute(
            _Q.set_state, **self._common, state=state.value, over=state.is_over, now=self.looked.now
        )

    async def roll_back(self, decision: RollBack) -> Started:
        view, extension = self.looked.view, self.looked.extension
        revision = self.looked.revision
        if revision is None:
            raise AssertionError("only a rollout of a revision is rolled back")
        if decision.quarantine:
            await quarantine(self.tx, self.caller, extension, revision, decision.message)
        forward = Forward(view.rollout_id, view.kind, revision, view.strategy)
        return await take_back(
            self.tx, self.caller, extension, forward, decision.message, self.looked.now
        )

    async def end(self, decision: End) -> None:
        await self.set_state(decision.state)
        looked, extension = self.looked, self.looked.extension
        succeeded = decision.state is RolloutState.SUCCEEDED
        match looked.view.kind:
            case RolloutKind.PUBLISH | RolloutKind.PLACEMENT:
                if succeeded:
                    await self.tx.execute(
                        _Q.mark_good, **self._common, extension=extension, revision=looked.revision
                    )
                    await self._reconsider_skipped()
            case RolloutKind.DELETE:
                await self.tx.execute(
                    _Q.end_deletion,
                    tenant=self.caller.tenant,
                    extension=extension,
                    gone=succeeded,
                    now=self.looked.now,
                )
                await self._reconsider_skipped()
            case RolloutKind.ROLLBACK:
                await self.tx.execute(
                    _Q.end_rolled_back,
                    tenant=self.caller.tenant,
                    rolled_back=looked.rollback_of,
                    state=(RolloutState.ROLLED_BACK if succeeded else RolloutState.FAILED).value,
                    now=self.looked.now,
                )
        await self.tx.execute(
            _Q.look_at_extension, **self._common, extension=extension, now=self.looked.now
        )

    async def _reconsider_skipped(self) -> None:
        await self.tx.execute(
            _Q.reconsider_skipped, **self._common, extension=self.looked.extension
        )


def _move(move: MoveTarget) -> dict[str, Any]:
    return {
        "cluster_id": str(move.cluster_id),
        "was": move.was.value,
        "becomes": move.becomes.value,
        "skip_reason": move.skip_reason.value if move.skip_reason else None,
        "ready_since": move.ready_since.isoformat() if move.ready_since else None,
        "reason": move.reason.value,
        "message": move.message,
    }


_ACTIONS: dict[type, str] = {
    Start: "rollout.start",
    PassStage: "rollout.stage.pass",
    OpenStage: "rollout.stage.open",
    AwaitApproval: "rollout.await_approval",
    SetPace: "rollout.pace",
    Pause: "rollout.pause",
    RollBack: "rollout.fail",
    End: "rollout.end",
}


def _entry(looked: Looked, decision: Decision) -> audit.Entry:
    data: dict[str, Any] = {"extension": looked.extension, "kind": looked.view.kind.value}
    if isinstance(decision, End):
        data["state"] = decision.state.value
    if isinstance(decision, SetPace):
        data |= {"fromPerMinute": decision.was, "toPerMinute": decision.per_minute}
    return audit.Entry(
        action=_ACTIONS[type(decision)],
        subject=f"rollout/{looked.view.rollout_id}",
        reason=decision.reason,
        message=decision.message,
        data=data,
    )
