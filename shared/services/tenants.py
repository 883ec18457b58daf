"""Tenants: made, suspended, resumed and deleted by the platform's operators, with their quotas.

Whoever may do this sees numbers of a tenant and nothing inside of it. What they do stands in the
tenant's own audit trail, for its members to see.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.contract.errors import ErrorCode
from shared.contract.page import Page
from shared.contract.tenant import (
    Quotas,
    Tenant,
    TenantPatch,
    TenantRequest,
    TenantState,
    Usage,
)
from shared.domain.errors import ArcBridgeError
from shared.services import audit, cursors
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.services.hot_path import HotPath
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("tenants")

_MAY_BECOME = {
    TenantState.SUSPENDED: {TenantState.ACTIVE},
    TenantState.ACTIVE: {TenantState.SUSPENDED},
    # A tenant is suspended first, so that nobody deletes one that is in use by a slip.
    TenantState.DELETED: {TenantState.SUSPENDED},
}
_ACTIONS = {
    TenantState.SUSPENDED: "tenant.suspend",
    TenantState.ACTIVE: "tenant.resume",
    TenantState.DELETED: "tenant.delete",
}


async def create(cp: ControlPlane, caller: Caller, request: TenantRequest) -> Tenant:
    """A new tenant. Raises AlreadyExists; the name of a deleted one is not given again."""
    async with cp.db.platform() as tx:
        made = await tx.one(
            _Q.add,
            tenant=request.name,
            quotas=jsonb(request.quotas.to_canonical()),
            now=cp.clock(),
        )
        if made is None:
            raise ArcBridgeError(ErrorCode.ALREADY_EXISTS, f"the name {request.name} is taken")
        await _note(tx, caller, request.name, "tenant.create", request.reason, request.quotas)
        return await _read(tx, request.name, cp.clock())


async def list_tenants(
    cp: ControlPlane, caller: Caller, *, cursor: str | None = None, limit: int | None = None
) -> Page[Tenant]:
    """A page of all tenants by name."""
    del caller  # who may ask is settled; every one of them sees the same
    size = cursors.page_size(limit)
    after = cursors.decode_one(cursor, str)
    async with cp.db.platform() as tx:
        rows = await tx.all(
            _Q.list,
            tenant=None,
            hour_ago=cp.clock() - timedelta(hours=1),
            after=after,
            limit=size + 1,
        )
    return cursors.page(
        Page[Tenant], rows, size, _tenant, lambda row: cursors.encode(row["tenant_id"])
    )


async def get(cp: HotPath, caller: Caller, name: str) -> Tenant:
    """One tenant. Raises NotFound."""
    del caller
    async with cp.db.platform() as tx:
        return await _read(tx, name, cp.clock())


async def patch(cp: ControlPlane, caller: Caller, name: str, change: TenantPatch) -> Tenant:
    """Set the quotas. What the tenant has beyond them stays; it only gets no more."""
    async with cp.db.platform() as tx:
        await tx.one(_Q.lock, tenant=name)
        before = await _read(tx, name, cp.clock())
        await tx.execute(_Q.change_quotas, tenant=name, quotas=jsonb(change.quotas.to_canonical()))
        await _note(tx, caller, name, "tenant.quotas", change.reason, change.quotas, before.quotas)
        return await _read(tx, name, cp.clock())


async def change_state(
    cp: ControlPlane, caller: Caller, name: str, state: TenantState, reason: str | None
) -> Tenant:
    """Suspend, resume or delete. The same state again changes nothing; Conflict for a leap.

    New calls and sessions of a tenant that is not active are refused at once; its open streams end
    within five seconds on every relay. Of a deleted tenant the retention timer removes all but the
    audit trail.
    """
    async with cp.db.platform() as tx:
        row = await tx.one(_Q.lock, tenant=name)
        if row is None:
            raise _unknown(name)
        found = row["state"]
        if row["importing"] is not None and state is not TenantState.DELETED:
            raise ArcBridgeError(
                ErrorCode.CONFLICT, f"{name} is being imported: finish that, or delete it"
            )
        if found != state:
            if TenantState(found) not in _MAY_BECOME[state]:
                raise ArcBridgeError(
                    ErrorCode.CONFLICT, f"{name} is {found}, so it cannot become {state}"
                )
            await tx.execute(_Q.change_state, tenant=name, state=state)
            await _note(tx, caller, name, _ACTIONS[state], reason)
        return await _read(tx, name, cp.clock())


async def _note(
    tx: Transaction,
    caller: Caller,
    tenant: str,
    action: str,
    reason: str | None,
    after: Quotas | None = None,
    before: Quotas | None = None,
) -> None:
    acting = Caller(
        actor=caller.actor,
        tenant=tenant,
        address=caller.address,
        traceparent=caller.traceparent,
    )
    quotas = {"before": before, "after": after}
    data = {when: found.to_wire() for when, found in quotas.items() if found is not None}
    await audit.append(tx, acting, action, f"tenant/{tenant}", message=reason or "", data=data)


async def _read(tx: Transaction, name: str, now: datetime) -> Tenant:
    row = await tx.one(_Q.list, tenant=name, hour_ago=now - timedelta(hours=1), after=None, limit=1)
    if row is None:
        raise _unknown(name)
    return _tenant(row)


def _tenant(row: Row) -> Tenant:
    return Tenant(
        name=row["tenant_id"],
        state=TenantState(row["state"]),
        quotas=Quotas.model_validate(row["quotas"]),
        usage=Usage(
            clusters=row["clusters"],
            extensions=row["extensions"],
            publishes_last_hour=row["publishes"],
        ),
        created_at=row["created_at"],
    )


def _unknown(name: str) -> ArcBridgeError:
    return ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no tenant named {name}")
