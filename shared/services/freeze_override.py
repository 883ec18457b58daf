"""Let one rollout release in spite of freezes and windows, for a while, with a reason.

For whoever answers for the service at that hour, not for whoever wants the rollout out.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.contract.errors import ErrorCode, FieldError
from shared.contract.freeze import FreezeOverride
from shared.contract.limits import FREEZE_OVERRIDE_MAX
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import Rollout
from shared.contract.states import RolloutKind, RolloutState
from shared.domain.errors import ArcBridgeError
from shared.services import audit, nudge, rollouts
from shared.services.caller import Caller
from shared.services.hot_path import HotPath
from shared.services.preconditions import check_version
from shared.store.queries import load
from shared.store.transaction import Row

_Q = load("freezes")
_R = load("rollouts")


async def override(
    cp: HotPath, caller: Caller, rollout_id: UUID, if_match: str | None, how: FreezeOverride
) -> Rollout:
    """Hold nothing of the rollout back until `expiresAt`.

    Raises NotFound, InvalidRequest for a time that is past or too far, and Conflict for a rollout
    that nothing could hold: one that is over, or a rollback.
    """
    async with cp.db.tenant(caller.tenant) as tx:
        now = cp.clock()
        row = await tx.one(_R.lock_one, tenant=caller.tenant, rollout=rollout_id)
        if row is None:
            raise ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no rollout {rollout_id}")
        check_version(if_match, row["version"])
        _check_time(how, now)
        _check_state(row)
        await tx.execute(
            _Q.override, tenant=caller.tenant, rollout=rollout_id, until=how.expires_at, now=now
        )
        await audit.append(
            tx,
            caller,
            "rollout.override_freeze",
            f"rollout/{rollout_id}",
            reason=ReasonCode.PROGRESSING,
            message=how.reason,
            data={"extension": row["extension"], "until": how.expires_at.isoformat()},
        )
    await nudge.nudge(cp, caller.tenant, [rollout_id])
    return await rollouts.get(cp, caller, rollout_id)


def _check_time(how: FreezeOverride, now: datetime) -> None:
    if not now < how.expires_at <= now + FREEZE_OVERRIDE_MAX:
        why = "it must lie in the future, 24 hours ahead at most"
        raise ArcBridgeError(
            ErrorCode.INVALID_REQUEST,
            f"expiresAt cannot be used: {why}",
            errors=(FieldError(field="expiresAt", message=why),),
        )


def _check_state(row: Row) -> None:
    state = RolloutState(row["state"])
    if state.is_over or state is RolloutState.ROLLING_BACK:
        raise ArcBridgeError(ErrorCode.CONFLICT, f"the rollout is {state.value}")
    if row["kind"] == RolloutKind.ROLLBACK:
        raise ArcBridgeError(ErrorCode.CONFLICT, "no freeze holds a rollback")
