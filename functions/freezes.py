"""Freezes and windows: when the tenant's rollouts may release."""

from __future__ import annotations

from functions.edge.endpoint import Call, IfMatch
from functions.edge.paging import PageQuery
from functions.edge.resource import Resource
from shared.contract.base import Name
from shared.contract.errors import ErrorCode
from shared.contract.freeze import Freeze, FreezeSpec
from shared.contract.page import Page
from shared.services import freezes

api = Resource("freezes")


@api.endpoint("GET", "v1/freezes")
async def freezes_list(call: Call, query: PageQuery) -> Page[Freeze]:
    """List freezes and windows by name, with whether they are in force and until when."""
    return await freezes.list_freezes(call.cp, call.caller, cursor=query.cursor, limit=query.limit)


@api.endpoint(
    "PUT",
    "v1/freezes/{name}",
    if_match=IfMatch.OPTIONAL,
    problems=(ErrorCode.QUOTA_EXCEEDED,),
)
async def freezes_put(call: Call, name: Name, body: FreezeSpec) -> Freeze:
    """Make or change a freeze (`deny`) or a window (`allow`); it holds once this is answered."""
    return await freezes.put(call.cp, call.caller, name, body, call.if_match)


@api.endpoint("DELETE", "v1/freezes/{name}", if_match=IfMatch.OPTIONAL)
async def freezes_delete(call: Call, name: Name) -> None:
    """Remove one that no rollout under way names."""
    await freezes.delete(call.cp, call.caller, name, call.if_match)
