"""The tenant's joining policy: set by its admins; `registration.sql` asks it with the token."""

from __future__ import annotations

from shared.contract.joining_policy import JoiningPolicy, JoiningPolicySpec
from shared.services import audit
from shared.services.caller import Caller
from shared.services.hot_path import HotPath
from shared.services.preconditions import check_version, hold
from shared.store.queries import load
from shared.store.transaction import Row

_Q = load("joining_policies")
_SUBJECT = "joining-policy"


async def get(cp: HotPath, caller: Caller) -> JoiningPolicy:
    """The tenant's policy; without one, the one that asks for nothing."""
    async with cp.db.tenant(caller.tenant) as tx:
        return _policy(await tx.one(_Q.read, tenant=caller.tenant))


async def put(
    cp: HotPath, caller: Caller, spec: JoiningPolicySpec, if_match: str | None
) -> JoiningPolicy:
    """Set it; what is said already changes nothing. Raises PreconditionFailed."""
    async with cp.db.tenant(caller.tenant) as tx:
        await hold(tx, caller.tenant, _SUBJECT)
        row = await tx.one(_Q.read, tenant=caller.tenant)
        before = _policy(row)
        check_version(if_match, int(before.etag))
        if row is not None and before.approval == spec.approval:
            return before
        stored = await tx.one(
            _Q.put,
            tenant=caller.tenant,
            approval=spec.approval,
            actor=caller.actor,
            now=cp.clock(),
        )
        await audit.append(
            tx,
            caller,
            "joining-policy.set",
            _SUBJECT,
            message=spec.reason or "",
            data={"before": {"approval": before.approval}, "after": {"approval": spec.approval}},
        )
        return _policy(stored)


def _policy(row: Row | None) -> JoiningPolicy:
    if row is None:
        return JoiningPolicy(etag="0")
    return JoiningPolicy(
        approval=row["approval"],
        updated_by=row["updated_by"],
        updated_at=row["updated_at"],
        etag=str(row["version"]),
    )
