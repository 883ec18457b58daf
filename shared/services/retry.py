"""Retry a rollout: a new one, of the same kind and revision, for only what the old one left behind.

The strategy is the old one's, as it was frozen. The clusters are arranged by it anew, so that a
canary goes first again. What was decided since is never undone by a retry: it is refused where the
revision is quarantined, a newer rollout took over, or one is under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import ActionRequest, Rollout
from shared.contract.states import RevisionState, RolloutKind, RolloutState
from shared.contract.strategy import RolloutStrategy
from shared.domain.errors import ArcBridgeError
from shared.domain.goals import Goal, Goals, goals
from shared.services import audit, nudge, pace, rollouts
from shared.services.caller import Caller
from shared.services.failpoints import hit
from shared.services.hot_path import HotPath
from shared.services.preconditions import check_version
from shared.services.publish import stored_spec
from shared.services.standings import standing
from shared.services.start import NewRollout, Started, start
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("retry")
_P = load("publish")
_R = load("rollouts")


async def retry(
    cp: HotPath, caller: Caller, rollout_id: UUID, if_match: str | None, request: ActionRequest
) -> Rollout:
    """Start a rollout of the failed, timed-out and skipped targets; the answer is that rollout.

    Raises NotFound, Quarantined when the revision is, and Conflict while the rollout or another of
    the extension runs, once a newer one took over, or where nothing was left behind.
    """
    async with cp.db.tenant(caller.tenant) as tx:
        found = await tx.one(_Q.rollout, tenant=caller.tenant, rollout=rollout_id)
        if found is None:
            raise ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no rollout {rollout_id}")
        await tx.one(_P.lock_extension, tenant=caller.tenant, extension=found["extension"])
        old = await tx.one(_Q.rollout, tenant=caller.tenant, rollout=rollout_id) or found
        check_version(if_match, old["version"])
        await _refuse_what_was_overtaken(tx, caller.tenant, old)
        started = await _start(tx, caller, old, request, cp.clock())
        hit("retry.before_commit")
    hit("retry.after_commit")
    strategy = RolloutStrategy.model_validate(old["strategy"])
    await pace.fill(cp, caller.tenant, started.rollout_id, strategy)
    await nudge.nudge(cp, caller.tenant, [started.rollout_id])
    return await rollouts.get(cp, caller, started.rollout_id)


async def _refuse_what_was_overtaken(tx: Transaction, tenant: str, old: Row) -> None:
    name, rollout_id = old["extension"], old["rollout_id"]
    state = RolloutState(old["state"])
    if not state.is_over:
        raise _conflict(f"the rollout is {state.value}: it can be retried once it is over")
    for running in await tx.all(_R.active_of, tenant=tenant, extension=name):
        raise _conflict(
            f"rollout {running['rollout_id']} of {name} is {running['state']}: "
            "retry once it is over, or cancel it first"
        )
    if old["revision"] is not None:
        revision = await tx.one(_P.revision, tenant=tenant, extension=name, number=old["revision"])
        if revision is not None and revision["state"] == RevisionState.QUARANTINED:
            raise ArcBridgeError(
                ErrorCode.QUARANTINED,
                f"revision {old['revision']} of {name} is quarantined: release it first",
                reason=ReasonCode.SPEC_QUARANTINED,
            )
    newer = await tx.one(_Q.newer, tenant=tenant, extension=name, rollout=rollout_id)
    if newer is not None:
        raise _conflict(
            f"a newer rollout of {name} took over ({newer['kind']} {newer['rollout_id']}): "
            "retry that one"
        )


async def _start(
    tx: Transaction,
    caller: Caller,
    old: Row,
    request: ActionRequest,
    now: datetime,
) -> Started:
    left = await tx.all(
        _Q.left_behind,
        tenant=caller.tenant,
        extension=old["extension"],
        rollout=old["rollout_id"],
    )
    goes = await _goals(tx, caller.tenant, old, left)
    if not goes.targets:
        raise _conflict("the rollout left no cluster behind that could be retried")
    kind = RolloutKind(old["kind"])
    new = NewRollout(
        extension=old["extension"],
        kind=kind,
        revision=old["revision"],
        strategy=RolloutStrategy.model_validate(old["strategy"]),
        targets=goes.targets,
        specs=goes.specs,
        reason=request.reason or f"retry of rollout {old['rollout_id']}",
        rollback_of=old["rollback_of"],
        retry_of=old["rollout_id"],
    )
    started = await start(tx, caller, new, now)
    if kind is RolloutKind.DELETE:
        await tx.execute(
            _P.start_deleting, tenant=caller.tenant, extension=old["extension"], now=now
        )
    await audit.append(
        tx,
        caller,
        "rollout.retry",
        f"rollout/{old['rollout_id']}",
        reason=ReasonCode.PROGRESSING,
        message=request.reason or "",
        data={
            "extension": old["extension"],
            "rollout": str(started.rollout_id),
            "targets": len(goes.targets),
        },
    )
    return started


async def _goals(tx: Transaction, tenant: str, old: Row, left: Sequence[Row]) -> Goals:
    """Where the clusters go: by what they are now, for labels may have changed since.

    Targets of rollbacks and removals go where they were to go: no spec says that.
    """
    if old["revision"] is None:
        return Goals(tuple(_same_goal(row) for row in left), {}, ())
    spec = await stored_spec(tx, tenant, old["extension"], old["revision"])
    strategy = RolloutStrategy.model_validate(old["strategy"])
    rows = await tx.all(
        _P.standings_of,
        tenant=tenant,
        extension=old["extension"],
        needed=list(spec.depends_on),
        clusters=[row["cluster_id"] for row in left],
    )
    return goals(
        spec.model_copy(update={"rollout": strategy}),
        old["revision"],
        [standing(row) for row in rows],
    )


def _same_goal(row: Row) -> Goal:
    return Goal(
        row["cluster_id"],
        row["cluster"],
        row["stage"],
        row["position"],
        row["goal_revision"],
        row["goal_digest"],
        row["goal_absent"],
        previous=row["revision"],
        held=row["digest"],
    )


def _conflict(why: str) -> ArcBridgeError:
    return ArcBridgeError(ErrorCode.CONFLICT, why)
