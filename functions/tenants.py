"""Tenants, for the platform's operators: made, limited, suspended, deleted; never looked into."""

from __future__ import annotations

from http import HTTPStatus

from functions.edge.endpoint import Call
from functions.edge.paging import PageQuery
from functions.edge.resource import Resource
from shared.contract.base import Name
from shared.contract.errors import ErrorCode
from shared.contract.page import Page
from shared.contract.rollout import ActionRequest
from shared.contract.tenant import Tenant, TenantPatch, TenantRequest, TenantState
from shared.services import tenants

api = Resource("tenants")
NO_REASON = ActionRequest()
"""What an empty body stands for."""


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


async def _become(call: Call, name: Name, state: TenantState, body: ActionRequest) -> Tenant:
    return await tenants.change_state(call.cp, call.caller, name, state, body.reason)
