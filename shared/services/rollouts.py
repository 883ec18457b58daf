"""Read rollouts, and what operators do to one that runs: pause, resume, cancel, approve."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.contract.errors import ErrorCode
from shared.contract.page import Page
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import ActionRequest, Rollout, StageProgress, WaitingFor
from shared.contract.states import RolloutKind, RolloutState
from shared.contract.strategy import RolloutStrategy
from shared.domain.errors import ArcBridgeError
from shared.planner.limits import borne, declared
from shared.services import adaptive_pace, audit, cursors, nudge
from shared.services.caller import Caller
from shared.services.failpoints import hit
from shared.services.hot_path import HotPath
from shared.services.preconditions import check_version
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("rollouts")
_P = load("publish")
_E = load("pacer")

_ACTIVE = tuple(state for state in RolloutState if not state.is_over)


async def list_rollouts(
    cp: HotPath,
    caller: Caller,
    *,
    extension: str | None = None,
    state: RolloutState | None = None,
    active: bool | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[Rollout]:
    """Rollouts, newest first; `active` picks those that are not over, or those that are."""
    size = cursors.page_size(limit)
    async with cp.db.tenant(caller.tenant) as tx:
        rows = await tx.all(
            _Q.list_rollouts,
            tenant=caller.tenant,
            extension=extension,
            states=_states(state, active),
            before=cursors.decode_id(cursor),
            limit=size + 1,
        )
        stages = await _stages_of(tx, caller.tenant, [row["rollout_id"] for row in rows[:size]])
    return cursors.page(
        Page[Rollout],
        rows,
        size,
        lambda row: _rollout(row, stages[row["rollout_id"]]),
        lambda row: cursors.encode(str(row["rollout_id"])),
    )


def _states(state: RolloutState | None, active: bool | None) -> list[str] | None:
    if state is None and active is None:
        return None
    chosen = [state] if state is not None else list(RolloutState)
    return [s.value for s in chosen if active is None or (s in _ACTIVE) is active]


async def get(cp: HotPath, caller: Caller, rollout_id: UUID) -> Rollout:
    """One rollout. Raises NotFound."""
    async with cp.db.tenant(caller.tenant) as tx:
        return await read(tx, caller.tenant, rollout_id)


async def read(tx: Transaction, tenant: str, rollout_id: UUID) -> Rollout:
    """One rollout, in a transaction that is open. Raises NotFound."""
    row = await tx.one(_Q.one_rollout, tenant=tenant, rollout=rollout_id)
    if row is None:
        raise unknown(rollout_id)
    stages = await _stages_of(tx, tenant, [rollout_id])
    return _rollout(row, stages[rollout_id])


async def pause(
    cp: HotPath, caller: Caller, rollout_id: UUID, if_match: str | None, request: ActionRequest
) -> Rollout:
    """Release nothing more until someone resumes; what is in flight goes on being watched."""
    waiting = WaitingFor(
        reason=ReasonCode.ROLLOUT_PAUSED,
        message=f"paused by {caller.actor}: {request.reason or 'no reason given'}",
        since=cp.clock(),
        ends_when="an operator resumes or cancels it",
    )
    allowed = (RolloutState.PENDING, RolloutState.RUNNING, RolloutState.AWAITING_APPROVAL)
    return await _operate(
        cp, caller, rollout_id, if_match, request, RolloutState.PAUSED, allowed, waiting
    )


async def resume(
    cp: HotPath, caller: Caller, rollout_id: UUID, if_match: str | None, request: ActionRequest
) -> Rollout:
    """Go on. Failures so far no longer count against the budgets: the operator has seen them."""
    return await _operate(
        cp, caller, rollout_id, if_match, request, RolloutState.RUNNING, (RolloutState.PAUSED,)
    )


async def cancel(
    cp: HotPath, caller: Caller, rollout_id: UUID, if_match: str | None, request: ActionRequest
) -> Rollout:
    """End it where it stands: what was released stays, nothing more is."""
    allowed = (
        RolloutState.PENDING,
        RolloutState.RUNNING,
        RolloutState.PAUSED,
        RolloutState.AWAITING_APPROVAL,
    )
    return await _operate(
        cp, caller, rollout_id, if_match, request, RolloutState.CANCELLED, allowed
    )


async def approve(
    cp: HotPath, caller: Caller, rollout_id: UUID, if_match: str | None, request: ActionRequest
) -> Rollout:
    """Let the stage that waits for approval open. An approval does not expire."""
    return await _operate(
        cp,
        caller,
        rollout_id,
        if_match,
        request,
        RolloutState.RUNNING,
        (RolloutState.AWAITING_APPROVAL,),
        approving=True,
    )


async def _operate(
    cp: HotPath,
    caller: Caller,
    rollout_id: UUID,
    if_match: str | None,
    request: ActionRequest,
    becomes: RolloutState,
    allowed: Sequence[RolloutState],
    waiting: WaitingFor | None = None,
    *,
    approving: bool = False,
) -> Rollout:
    async with cp.db.tenant(caller.tenant) as tx:
        common = {"tenant": caller.tenant, "rollout": rollout_id}
        row = await tx.one(_Q.lock_one, **common)
        if row is None:
            raise unknown(rollout_id)
        now = cp.clock()
        state = RolloutState(row["state"])
        if state is becomes and not approving:
            return await read(tx, caller.tenant, rollout_id)
        check_version(if_match, row["version"])
        if state not in allowed:
            names = " or ".join(s.value for s in allowed)
            raise ArcBridgeError(
                ErrorCode.CONFLICT, f"the rollout is {state.value}; this needs it to be {names}"
            )
        if state is RolloutState.PAUSED and becomes is RolloutState.RUNNING:
            await tx.execute(_Q.forgive, **common)
        if approving:
            await tx.execute(_Q.approve, **common, actor=caller.actor, now=now)
        await tx.execute(
            _Q.operate,
            **common,
            state=becomes.value,
            over=becomes.is_over,
            waiting_for=jsonb(waiting.to_wire()) if waiting else None,
            now=now,
        )
        if becomes.is_over:
            await _let_go(tx, caller.tenant, row, now)
        await _record(tx, caller, rollout_id, request, becomes, approving=approving)
        hit("rollouts.before_commit")
    hit("rollouts.after_commit")
    await nudge.nudge(cp, caller.tenant, [rollout_id])
    return await get(cp, caller, rollout_id)


async def _let_go(tx: Transaction, tenant: str, row: Row, now: datetime) -> None:
    """End what hung on a rollout that is cancelled, and have those that waited for it looked at."""
    extension = row["extension"]
    match row["kind"]:
        case RolloutKind.DELETE:
            await tx.execute(
                _E.end_deletion, tenant=tenant, extension=extension, gone=False, now=now
            )
        case RolloutKind.ROLLBACK:
            await tx.execute(
                _E.end_rolled_back,
                tenant=tenant,
                rolled_back=row["rollback_of"],
                state=RolloutState.FAILED.value,
                now=now,
            )
    await tx.execute(
        _E.look_at_extension,
        tenant=tenant,
        rollout=row["rollout_id"],
        extension=extension,
        now=now,
    )


async def _record(
    tx: Transaction,
    caller: Caller,
    rollout_id: UUID,
    request: ActionRequest,
    becomes: RolloutState,
    *,
    approving: bool,
) -> None:
    verb, reason = {
        RolloutState.PAUSED: ("pause", ReasonCode.ROLLOUT_PAUSED),
        RolloutState.CANCELLED: ("cancel", ReasonCode.ROLLOUT_CANCELLED),
    }.get(becomes, ("approve" if approving else "resume", ReasonCode.PROGRESSING))
    await audit.append(
        tx,
        caller,
        f"rollout.{verb}",
        f"rollout/{rollout_id}",
        reason=reason,
        message=request.reason or "",
    )


async def _stages_of(
    tx: Transaction, tenant: str, rollout_ids: Sequence[UUID]
) -> dict[UUID, list[Row]]:
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in await tx.all(_Q.stages_of, tenant=tenant, rollouts=list(rollout_ids)):
        found[row["rollout_id"]].append(row)
    return found


def _rollout(row: Row, stages: Sequence[Row]) -> Rollout:
    strategy = RolloutStrategy.model_validate(row["strategy"])
    return Rollout(
        id=row["rollout_id"],
        extension=row["extension"],
        kind=row["kind"],
        state=row["state"],
        revision=row["revision"],
        reason=row["reason"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        superseded_by=row["superseded_by"],
        rollback_of=row["rollback_of"],
        rolled_back_by=row["rolled_back_by"],
        retry_of=row["retry_of"],
        strategy=strategy,
        stages=tuple(_progress(stage, strategy) for stage in stages),
        waiting_for=_waiting_for(row),
        pace=adaptive_pace.shown(row["pacing"]),
        freeze_override_until=row["freeze_override_until"],
        traceparent=row["traceparent"],
        etag=str(row["version"]),
    )


def _waiting_for(row: Row) -> WaitingFor | None:
    if row["waiting_for"]:
        return WaitingFor.model_validate(row["waiting_for"])
    if RolloutState(row["state"]).is_over:
        return None
    return WaitingFor(
        reason=ReasonCode.PROGRESSING,
        message="it is about to be looked at",
        since=row["created_at"],
        ends_when="a pacer looks at it, within seconds",
    )


def _progress(row: Row, strategy: RolloutStrategy) -> StageProgress:
    limit = declared(strategy, row["stage"], row["total"])
    released = row["in_flight"] + row["succeeded"] + row["failed"]
    return StageProgress(
        name=row["name"],
        total=row["total"],
        to_apply=row["to_apply"],
        in_flight=row["in_flight"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        skipped=row["skipped"],
        max_concurrent=limit.concurrent,
        failure_budget=borne(strategy, row["stage"], limit.failures, released),
        opened_at=row["opened_at"],
        passed_at=row["passed_at"],
        approved_by=row["approved_by"],
    )


def unknown(rollout_id: UUID) -> ArcBridgeError:
    """What asking for a rollout that is not there is answered with."""
    return ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no rollout {rollout_id}")
