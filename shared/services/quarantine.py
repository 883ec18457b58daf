"""Quarantine a revision by hand, and lift a quarantine; both with who and why in the trail."""

from __future__ import annotations

from shared.contract.errors import ErrorCode
from shared.contract.rollout import ActionRequest, Revision
from shared.domain.errors import ArcBridgeError
from shared.services import audit, nudge
from shared.services import take_back as taking
from shared.services.caller import Caller
from shared.services.failpoints import hit
from shared.services.hot_path import HotPath
from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("rollback")
_P = load("publish")
_R = load("rollouts")


async def quarantine(
    cp: HotPath, caller: Caller, name: str, number: int, request: ActionRequest
) -> Revision:
    """Release this revision nowhere more; a rollout that brings it out ends. Raises NotFound.

    Clusters that have it keep it: taking them back is what a rollback is for.
    """
    async with cp.db.tenant(caller.tenant) as tx:
        await _lock(tx, caller.tenant, name)
        why = request.reason or f"quarantined by {caller.actor}"
        await taking.quarantine(tx, caller, name, number, why)
        revision = await _read(tx, caller.tenant, name, number)
        active = await tx.all(_R.active_of, tenant=caller.tenant, extension=name)
        hit("quarantine.before_commit")
    hit("quarantine.after_commit")
    await nudge.nudge(cp, caller.tenant, [row["rollout_id"] for row in active])
    return revision


async def release(
    cp: HotPath, caller: Caller, name: str, number: int, request: ActionRequest
) -> Revision:
    """Lift the quarantine. Nothing is released by that alone: publish the content again."""
    async with cp.db.tenant(caller.tenant) as tx:
        await _lock(tx, caller.tenant, name)
        changed = await tx.execute(
            _Q.lift_quarantine,
            tenant=caller.tenant,
            extension=name,
            number=number,
            now=cp.clock(),
        )
        if changed:
            await audit.append(
                tx,
                caller,
                "revision.release",
                f"extension/{name}",
                message=request.reason or "",
                data={"revision": number},
            )
        return await _read(tx, caller.tenant, name, number)


async def _lock(tx: Transaction, tenant: str, name: str) -> None:
    row = await tx.one(_P.lock_extension, tenant=tenant, extension=name)
    if row is None or row["deleted_at"] is not None:
        raise ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no extension {name}")


async def _read(tx: Transaction, tenant: str, name: str, number: int) -> Revision:
    row = await tx.one(_P.revision, tenant=tenant, extension=name, number=number)
    if row is None:
        raise ArcBridgeError(ErrorCode.NOT_FOUND, f"extension {name} has no revision {number}")
    return Revision(
        extension=name,
        number=row["number"],
        digest=row["digest"],
        state=row["state"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        reason=row["reason"],
        provenance=row["provenance"],
        quarantine_reason=row["quarantine_reason"],
    )
