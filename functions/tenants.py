"""Tenants, for the platform's operators: made, limited, suspended, deleted, taken out and put in.

They look into none: an export is the one way to a tenant's data, and stands in its own trail.
"""

from __future__ import annotations

from http import HTTPStatus

from functions.edge.endpoint import Call
from functions.edge.paging import Cursor, PageQuery
from functions.edge.resource import Resource
from shared.contract import limits
from shared.contract.archive import (
    ArchivePage,
    ImportBatch,
    ImportedBatch,
    ImportEnd,
    ImportRequest,
)
from shared.contract.base import Name, WireModel
from shared.contract.errors import ErrorCode
from shared.contract.page import Page
from shared.contract.rollout import ActionRequest
from shared.contract.tenant import Tenant, TenantPatch, TenantRequest, TenantState
from shared.services import export, tenant_import, tenants

api = Resource("tenants")
NO_REASON = ActionRequest()
"""What an empty body stands for."""


class ExportQuery(WireModel):
    """Which stretch of an export; how long one is follows from its size in bytes."""

    cursor: Cursor | None = None
    """`nextCursor` of the stretch before; the first one without one."""


@api.endpoint("GET", "v1/tenants")
async def tenants_list(call: Call, query: PageQuery) -> Page[Tenant]:
    """List tenants by name, with their quotas and what is used of them."""
    return await tenants.list_tenants(call.cp, call.caller, cursor=query.cursor, limit=query.limit)


@api.endpoint("POST", "v1/tenants", status=HTTPStatus.CREATED, problems=(ErrorCode.ALREADY_EXISTS,))
async def tenants_create(call: Call, body: TenantRequest) -> Tenant:
    """Make a tenant. Which directory's users belong to it is a setting of the service."""
    return await tenants.create(call.cp, call.caller, body)


@api.endpoint("GET", "v1/tenants/{name}")
async def tenants_get(call: Call, name: Name) -> Tenant:
    """Show one tenant."""
    return await tenants.get(call.cp, call.caller, name)


@api.endpoint("PATCH", "v1/tenants/{name}")
async def tenants_patch(call: Call, name: Name, body: TenantPatch) -> Tenant:
    """Set a tenant's quotas. What it has beyond them stays."""
    return await tenants.patch(call.cp, call.caller, name, body)


@api.endpoint("POST", "v1/tenants/{name}/suspend", problems=(ErrorCode.CONFLICT,))
async def tenants_suspend(call: Call, name: Name, body: ActionRequest = NO_REASON) -> Tenant:
    """Refuse a tenant's people and agents; its clusters run on."""
    return await _become(call, name, TenantState.SUSPENDED, body)


@api.endpoint("POST", "v1/tenants/{name}/resume", problems=(ErrorCode.CONFLICT,))
async def tenants_resume(call: Call, name: Name, body: ActionRequest = NO_REASON) -> Tenant:
    """Let a suspended tenant in again."""
    return await _become(call, name, TenantState.ACTIVE, body)


@api.endpoint("DELETE", "v1/tenants/{name}", problems=(ErrorCode.CONFLICT,))
async def tenants_delete(call: Call, name: Name) -> None:
    """Remove a suspended tenant's data for good; its audit trail stays."""
    await _become(call, name, TenantState.DELETED, NO_REASON)


@api.endpoint("GET", "v1/tenants/{name}/export", problems=(ErrorCode.CONFLICT,))
async def tenants_export(call: Call, name: Name, query: ExportQuery) -> ArchivePage:
    """Read a suspended tenant out: what is declared, who belongs to it, and its audit trail."""
    return await export.page(call.cp, call.caller, name, query.cursor)


@api.endpoint("POST", "v1/tenants/{name}/import", problems=(ErrorCode.CONFLICT,))
async def tenants_import(call: Call, name: Name, body: ImportRequest) -> Tenant:
    """Begin to fill an empty tenant from a file, or go on.

    It is made where there is none, and suspended.
    """
    return await tenant_import.begin(call.cp, call.caller, name, body)


@api.endpoint(
    "POST",
    "v1/tenants/{name}/import/records",
    body_limit=limits.IMPORT_BODY_BYTES,
    problems=(ErrorCode.CONFLICT,),
)
async def tenants_import_records(call: Call, name: Name, body: ImportBatch) -> ImportedBatch:
    """Put records of the file in, in its order; those that are in, the same, change nothing."""
    return await tenant_import.take(call.cp, call.caller, name, body)


@api.endpoint("POST", "v1/tenants/{name}/import/finish", problems=(ErrorCode.CONFLICT,))
async def tenants_import_finish(call: Call, name: Name, body: ImportEnd) -> Tenant:
    """Check that all of the file is in. The tenant stays suspended until it is resumed."""
    return await tenant_import.finish(call.cp, call.caller, name, body)


async def _become(call: Call, name: Name, state: TenantState, body: ActionRequest) -> Tenant:
    return await tenants.change_state(call.cp, call.caller, name, state, body.reason)
