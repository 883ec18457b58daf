"""One click back: quarantine the newest revision, and take every cluster that has it back.

Works while another rollout runs: a forward one gives way to it, or waits behind it. Asking again
answers with the same rollback.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import RollbackRequest, RollbackResult, WayBack
from shared.contract.states import RevisionState, RolloutKind
from shared.contract.strategy import RolloutStrategy
from shared.domain.errors import ArcBridgeError
from shared.domain.goals import Goal, Goals
from shared.domain.resolve import Resolved, Resolver
from shared.domain.way_back import way_back
from shared.services import audit, nudge, pace
from shared.services.caller import Caller
from shared.services.failpoints import hit
from shared.services.hot_path import HotPath
from shared.services.publish import stored_spec
from shared.services.start import NewRollout, Started, start
from shared.services.take_back import Forward, quarantine, take_back, waits_for_rollback
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction
from shared.telemetry.tracing import span

_Q = load("rollback")
_P = load("publish")


async def rollback(
    cp: HotPath, caller: Caller, name: str, request: RollbackRequest
) -> RollbackResult:
    """Take the extension back, each cluster to its own last known good revision or `toRevision`.

    Raises NotFound for an unknown extension or revision, Quarantined when `toRevision` is, and
    Conflict where there is nothing to go back from.
    """
    with span("extension.rollback", parent=caller.traceparent):
        async with cp.db.tenant(caller.tenant) as tx:
            row = await tx.one(_P.lock_extension, tenant=caller.tenant, extension=name)
            if row is None or row["deleted_at"] is not None or not row["newest"]:
                raise ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no extension {name}")
            now = cp.clock()
            if request.to_revision is None:
                result, started = await _to_last_good(tx, caller, row, request, now)
            else:
                result, started = await _to_revision(
                    tx, caller, row, request.to_revision, request.reason, now
                )
            rows = await tx.all(_Q.ways, tenant=caller.tenant, rollout=result.rollout_id)
            hit("rollback.before_commit")
        hit("rollback.after_commit")
        if started is not None:
            await pace.fill(cp, caller.tenant, started[0].rollout_id, started[1])
            await nudge.nudge(cp, caller.tenant, [started[0].rollout_id])
    return result.model_copy(update={"ways": tuple(WayBack(**row) for row in rows)})


_Begun = tuple[RollbackResult, tuple[Started, RolloutStrategy] | None]


async def _to_last_good(
    tx: Transaction, caller: Caller, extension: Row, request: RollbackRequest, now: datetime
) -> _Begun:
    name, newest = extension["name"], extension["newest"]
    running = await tx.one(_Q.running, tenant=caller.tenant, extension=name)
    if running is not None:
        return _same(running["rollout_id"], newest), None
    forward = await _forward(tx, caller.tenant, name, newest)
    revision = await tx.one(_P.revision, tenant=caller.tenant, extension=name, number=newest)
    if revision is not None and revision["state"] == RevisionState.QUARANTINED:
        last = await tx.value(_Q.last, tenant=caller.tenant, extension=name, revision=newest)
        if last is not None:
            return _same(last, newest), None
    why = request.reason or f"rolled back by {caller.actor}"
    await quarantine(tx, caller, name, newest, why)
    started = await take_back(tx, caller, name, forward, why, now)
    made = RollbackResult(rollout_id=started.rollout_id, quarantined_revision=newest, created=True)
    return made, (started, forward.strategy)


def _same(rollout_id: UUID, newest: int) -> RollbackResult:
    return RollbackResult(rollout_id=rollout_id, quarantined_revision=newest, created=False)


async def _forward(tx: Transaction, tenant: str, extension: str, newest: int) -> Forward:
    """The rollout to undo: the one that runs with the newest revision, or the last that brought it.

    What is undone is always the whole revision, so a placement counts as a publish of it.
    """
    row = await tx.one(_Q.forward_rollout, tenant=tenant, extension=extension)
    if row is not None and row["kind"] == RolloutKind.DELETE:
        raise ArcBridgeError(
            ErrorCode.CONFLICT, "the extension is being removed: cancel that rollout first"
        )
    if row is None or row["revision"] != newest:
        row = await tx.one(_Q.bringer, tenant=tenant, extension=extension, revision=newest)
    if row is None:
        raise ArcBridgeError(ErrorCode.CONFLICT, f"revision {newest} was never rolled out")
    forward = Forward.of(row)
    return Forward(forward.rollout_id, RolloutKind.PUBLISH, newest, forward.strategy)


async def _to_revision(
    tx: Transaction,
    caller: Caller,
    extension: Row,
    number: int,
    reason: str | None,
    now: datetime,
) -> _Begun:
    name, newest = extension["name"], extension["newest"]
    await _refuse_quarantined(tx, caller.tenant, name, number)
    spec = await stored_spec(tx, caller.tenant, name, number)
    why = reason or f"taken back to revision {number} by {caller.actor}"
    strategy = way_back(spec.rollout)
    running = await tx.one(_Q.running, tenant=caller.tenant, extension=name)
    if running is not None:
        return _same(running["rollout_id"], newest), None
    rows = await tx.all(_Q.above, tenant=caller.tenant, extension=name, revision=number)
    forward = await tx.one(_Q.forward_rollout, tenant=caller.tenant, extension=name)
    quarantined = newest if newest > number else None
    if not rows and forward is None:
        last = await tx.one(
            _P.newest_rollout_of, tenant=caller.tenant, extension=name, revision=number
        )
        raise ArcBridgeError(
            ErrorCode.CONFLICT,
            f"no cluster has another revision than {number}"
            + (f" (rollout {last['rollout_id']})" if last else ""),
        )
    if quarantined is not None:
        await quarantine(tx, caller, name, quarantined, why)
    found = _goals(Resolver(spec), number, rows)
    new = NewRollout(
        extension=name,
        kind=RolloutKind.ROLLBACK,
        revision=None,
        strategy=strategy,
        targets=found.targets,
        specs=found.specs,
        reason=why,
        rollback_of=forward["rollout_id"] if forward else None,
    )
    started = await start(tx, caller, new, now)
    if forward is not None:
        await tx.execute(
            _Q.begin_rolling_back,
            tenant=caller.tenant,
            waiting_for=jsonb(waits_for_rollback(started, len(rows), now).to_wire()),
            rollback=started.rollout_id,
            rolled_back=forward["rollout_id"],
        )
    await audit.append(
        tx,
        caller,
        "extension.rollback",
        f"extension/{name}",
        reason=ReasonCode.PROGRESSING,
        message=why,
        data={"toRevision": number, "rollout": str(started.rollout_id), "targets": len(rows)},
    )
    made = RollbackResult(
        rollout_id=started.rollout_id, quarantined_revision=quarantined, created=True
    )
    return made, (started, strategy)


async def _refuse_quarantined(tx: Transaction, tenant: str, name: str, number: int) -> None:
    row = await tx.one(_P.revision, tenant=tenant, extension=name, number=number)
    if row is not None and row["state"] == RevisionState.QUARANTINED:
        raise ArcBridgeError(
            ErrorCode.QUARANTINED,
            f"revision {number} of {name} is quarantined: lift that first, or choose another",
            reason=ReasonCode.SPEC_QUARANTINED,
        )


def _goals(resolver: Resolver, number: int, rows: list[Row]) -> Goals:
    """Every cluster to one revision, in the first stage: an operator named where to go."""
    specs: dict[str, Resolved] = {}
    targets = []
    for position, row in enumerate(rows):
        resolved = resolver.resolve(row["labels"])
        specs[resolved.digest] = resolved
        targets.append(
            Goal(
                row["cluster_id"],
                row["name"],
                stage=0,
                position=position,
                revision=number,
                digest=resolved.digest,
                absent=False,
                previous=row["previous"],
                held=row["held"],
            )
        )
    return Goals(tuple(targets), specs, ())
