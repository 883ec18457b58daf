"""Remove an extension everywhere: tombstones, released by a rollout, paced like any other."""

from __future__ import annotations

from uuid import UUID

from shared.contract.errors import ErrorCode
from shared.contract.rollout import Rollout
from shared.contract.states import RolloutKind
from shared.contract.wording import plural
from shared.domain.errors import ArcBridgeError
from shared.domain.goals import goals
from shared.services import audit, nudge, pace, rollouts
from shared.services.caller import Caller
from shared.services.failpoints import hit
from shared.services.hot_path import HotPath
from shared.services.preconditions import check_version
from shared.services.publish import stored_spec
from shared.services.standings import standings
from shared.services.start import NewRollout, start
from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("publish")
_R = load("rollouts")


async def delete(
    cp: HotPath, caller: Caller, name: str, if_match: str | None, reason: str | None
) -> Rollout:
    """Start the removal; while it runs, the same call answers with its rollout.

    Raises NotFound, PreconditionFailed when `if_match` names another version, and Conflict while
    an extension that stays depends on it. Where those are being removed, too, each cluster loses
    them first.
    """
    async with cp.db.tenant(caller.tenant) as tx:
        row = await tx.one(_Q.lock_extension, tenant=caller.tenant, extension=name)
        if row is None or row["deleted_at"] is not None or not row["newest"]:
            raise ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no extension {name}")
        now = cp.clock()
        running = await _running(tx, caller.tenant, name) if row["deleting"] else None
        if running is not None:
            return await rollouts.read(tx, caller.tenant, running)
        check_version(if_match, row["version"])
        await _refuse_while_needed(tx, caller.tenant, name)
        spec = await stored_spec(tx, caller.tenant, name, row["newest"])
        standing = await standings(tx, caller.tenant, name, ())
        found = goals(spec, row["newest"], standing, removing=True)
        new = NewRollout(
            extension=name,
            kind=RolloutKind.DELETE,
            revision=None,
            strategy=spec.rollout,
            targets=found.targets,
            reason=reason,
        )
        started = await start(tx, caller, new, now)
        await tx.execute(_Q.start_deleting, tenant=caller.tenant, extension=name, now=now)
        await audit.append(
            tx,
            caller,
            "extension.delete",
            f"extension/{name}",
            message=reason or f"removed from {plural(len(found.targets), 'cluster')}",
            data={"rollout": str(started.rollout_id), "targets": len(found.targets)},
        )
        hit("removal.before_commit")
    hit("removal.after_commit")
    await pace.fill(cp, caller.tenant, started.rollout_id, spec.rollout)
    await nudge.nudge(cp, caller.tenant, [started.rollout_id])
    return await rollouts.get(cp, caller, started.rollout_id)


async def _refuse_while_needed(tx: Transaction, tenant: str, name: str) -> None:
    await tx.one(_Q.hold_dependencies, tenant=tenant)
    rows = await tx.all(_Q.dependents, tenant=tenant, extension=name)
    if rows:
        names = ", ".join(row["name"] for row in rows)
        raise ArcBridgeError(
            ErrorCode.CONFLICT,
            f"{names} depends on {name}: remove that first, or publish it without the dependency",
        )


async def _running(tx: Transaction, tenant: str, name: str) -> UUID | None:
    for row in await tx.all(_R.active_of, tenant=tenant, extension=name):
        if row["kind"] == RolloutKind.DELETE:
            found: UUID = row["rollout_id"]
            return found
    return None
