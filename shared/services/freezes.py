"""Freezes and windows: kept per tenant, and read with every look at a rollout.

A look at a rollout holds a shared lock until it commits, and a change waits for it: once a freeze
was answered for, no release that had not seen it can follow. Rollbacks ask for none of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from shared.contract.errors import ErrorCode, FieldError
from shared.contract.freeze import Freeze, FreezeSpec
from shared.contract.limits import FREEZES_PER_TENANT
from shared.contract.page import Page
from shared.domain.errors import ArcBridgeError
from shared.planner.windows import Window, Windows, standing
from shared.services import audit, cursors
from shared.services.caller import Caller
from shared.services.hot_path import HotPath
from shared.services.preconditions import check_version, hold
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("freezes")


async def hold_as_they_are(tx: Transaction, tenant: str) -> None:
    """Let no freeze change until the transaction ends.

    Before any row of a rollout is taken: a change of a freeze takes them in the same order.
    """
    await tx.one(_Q.share, tenant=tenant)


async def of_rollout(
    tx: Transaction,
    tenant: str,
    extension: str,
    names: Sequence[str],
    override_until: datetime | None,
) -> Windows:
    """What may hold a rollout of the extension whose strategy gives these names."""
    rows = await tx.all(_Q.of_rollout, tenant=tenant, names=list(names))
    known = [Window(row["name"], FreezeSpec.model_validate(row["spec"])) for row in rows]
    return Windows(
        tuple(w for w in known if not w.spec.extensions or extension in w.spec.extensions),
        tuple(sorted(set(names) - {window.name for window in known})),
        override_until,
    )


async def refuse_unknown(tx: Transaction, tenant: str, names: Sequence[str]) -> None:
    """Raise InvalidRequest when a strategy names a freeze or window that does not exist."""
    if not names:
        return
    known = {row["name"] for row in await tx.all(_Q.known, tenant=tenant, names=list(names))}
    unknown = sorted(set(names) - known)
    if unknown:
        raise _invalid("spec.rollout.windows", f"there is no freeze or window {', '.join(unknown)}")


async def list_freezes(
    cp: HotPath, caller: Caller, *, cursor: str | None = None, limit: int | None = None
) -> Page[Freeze]:
    """A page of the tenant's freezes and windows by name, as they stand now."""
    size, now = cursors.page_size(limit), cp.clock()
    after = cursors.decode_one(cursor, str)
    async with cp.db.tenant(caller.tenant) as tx:
        rows = await tx.all(
            _Q.list,
            tenant=caller.tenant,
            name=None,
            after=after,
            limit=size + 1,
        )
    return cursors.page(
        Page[Freeze], rows, size, lambda row: _freeze(row, now), lambda r: cursors.encode(r["name"])
    )


async def put(
    cp: HotPath, caller: Caller, name: str, spec: FreezeSpec, if_match: str | None
) -> Freeze:
    """Make a freeze or window, or change it; what is said already changes nothing.

    Raises InvalidRequest for an unknown time zone, PreconditionFailed, QuotaExceeded.
    """
    _check_zone(spec)
    async with cp.db.tenant(caller.tenant) as tx:
        now = cp.clock()
        await hold(tx, caller.tenant, "freezes")
        old = await _find(tx, caller.tenant, name)
        _check_match(if_match, old)
        if old is not None and FreezeSpec.model_validate(old["spec"]) == spec:
            return _freeze(old, now)
        if old is None:
            await _check_room(tx, caller.tenant)
        await tx.execute(
            _Q.put,
            tenant=caller.tenant,
            name=name,
            spec=jsonb(spec.to_wire()),
            actor=caller.actor,
            now=now,
        )
        await tx.execute(_Q.look_again, tenant=caller.tenant, now=now)
        await audit.append(
            tx,
            caller,
            "freeze.set",
            f"freeze/{name}",
            message=spec.reason or "",
            data={"before": old["spec"] if old else None, "after": spec.to_wire()},
        )
        stored = await _find(tx, caller.tenant, name)
    if stored is None:
        raise AssertionError("the row was written in this transaction")
    return _freeze(stored, now)


async def delete(cp: HotPath, caller: Caller, name: str, if_match: str | None) -> None:
    """Remove a freeze or window. Raises NotFound, and Conflict while a rollout names it."""
    async with cp.db.tenant(caller.tenant) as tx:
        await hold(tx, caller.tenant, "freezes")
        old = await _find(tx, caller.tenant, name)
        if old is None:
            raise ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no freeze or window {name}")
        _check_match(if_match, old)
        user = await tx.one(_Q.named_by, tenant=caller.tenant, name=name)
        if user is not None:
            raise ArcBridgeError(
                ErrorCode.CONFLICT,
                f"rollout {user['rollout_id']} of {user['extension']} names it and would be held "
                "without an end: change it, or wait until that rollout is over",
            )
        await tx.execute(_Q.delete, tenant=caller.tenant, name=name)
        await tx.execute(_Q.look_again, tenant=caller.tenant, now=cp.clock())
        await audit.append(
            tx, caller, "freeze.delete", f"freeze/{name}", data={"before": old["spec"]}
        )


async def _find(tx: Transaction, tenant: str, name: str) -> Row | None:
    return await tx.one(_Q.list, tenant=tenant, name=name, after=None, limit=1)


async def _check_room(tx: Transaction, tenant: str) -> None:
    if await tx.value(_Q.count, tenant=tenant) >= FREEZES_PER_TENANT:
        raise ArcBridgeError(
            ErrorCode.QUOTA_EXCEEDED,
            f"the tenant has {FREEZES_PER_TENANT} freezes and windows: delete what is over",
        )


def _check_zone(spec: FreezeSpec) -> None:
    try:
        ZoneInfo(spec.time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise _invalid("timeZone", f"{spec.time_zone} is no IANA time zone") from error


def _check_match(if_match: str | None, row: Row | None) -> None:
    if row is not None:
        check_version(if_match, row["version"])
    elif if_match is not None:
        raise ArcBridgeError(ErrorCode.PRECONDITION_FAILED, "it does not exist")


def _invalid(field: str, why: str) -> ArcBridgeError:
    return ArcBridgeError(
        ErrorCode.INVALID_REQUEST,
        f"{field} cannot be used: {why}",
        errors=(FieldError(field=field, message=why),),
    )


def _freeze(row: Row, now: datetime) -> Freeze:
    spec = FreezeSpec.model_validate(row["spec"])
    stands = standing(spec, now)
    return Freeze(
        **dict(spec),
        name=row["name"],
        in_force=stands.in_force,
        changes_at=stands.changes_at,
        created_by=row["created_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        etag=str(row["version"]),
    )
