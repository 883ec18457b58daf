"""Extensions, their revisions, where they are, and the way back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from functions.clusters import NO_REASON, WithReason, Word
from functions.edge.endpoint import Call, IfMatch
from functions.edge.paging import PageQuery
from functions.edge.resource import Resource
from shared.contract.base import Name
from shared.contract.cluster import ClusterExtension
from shared.contract.errors import ErrorCode
from shared.contract.page import Page
from shared.contract.rollout import (
    ActionRequest,
    Extension,
    Revision,
    RollbackRequest,
    RollbackResult,
    Rollout,
)
from shared.services import catalog, quarantine, removal, rollback

api = Resource("extensions")
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
LAST_GOOD = RollbackRequest()
"""What an empty body asks for."""


class ExtensionQuery(PageQuery):
    """Which extensions to list."""

    text: Word | None = None
    """Part of the name."""


@api.endpoint("GET", "v1/extensions")
async def extensions_list(call: Call, query: ExtensionQuery) -> Page[Extension]:
    """List extensions by name, without their specs."""
    return await catalog.list_extensions(
        call.cp, call.caller, text=query.text, cursor=query.cursor, limit=query.limit
    )


@api.endpoint("GET", "v1/extensions/{name}")
async def extensions_get(call: Call, name: Name) -> Extension:
    """Read one extension with its newest spec."""
    return await catalog.get(call.cp, call.caller, name)


@api.endpoint("DELETE", "v1/extensions/{name}", if_match=IfMatch.OPTIONAL)
async def extensions_delete(call: Call, name: Name, query: WithReason) -> Rollout:
    """Remove an extension everywhere.

    The removal is itself a paced rollout, which is the answer; the same call again gives the same.
    """
    return await removal.delete(call.cp, call.caller, name, call.if_match, query.reason)


@api.endpoint("GET", "v1/extensions/{name}/revisions")
async def extensions_revisions(call: Call, name: Name, query: PageQuery) -> Page[Revision]:
    """List revisions, newest first, without their specs."""
    return await catalog.revisions(
        call.cp, call.caller, name, cursor=query.cursor, limit=query.limit
    )


@api.endpoint("GET", "v1/extensions/{name}/revisions/{number}")
async def revisions_get(call: Call, name: Name, number: Number) -> Revision:
    """Read one revision with its spec."""
    return await catalog.revision(call.cp, call.caller, name, number)


@api.endpoint("GET", "v1/extensions/{name}/clusters")
async def extensions_clusters(call: Call, name: Name, query: PageQuery) -> Page[ClusterExtension]:
    """List the clusters that an extension was released to."""
    return await catalog.clusters(
        call.cp, call.caller, name, cursor=query.cursor, limit=query.limit
    )


@api.endpoint("POST", "v1/extensions/{name}/rollback", problems=(ErrorCode.QUARANTINED,))
async def extensions_rollback(
    call: Call, name: Name, body: RollbackRequest = LAST_GOOD
) -> RollbackResult:
    """Go back: each cluster to its own last known good revision, or all to `toRevision`."""
    return await rollback.rollback(call.cp, call.caller, name, body)


@api.endpoint("POST", "v1/extensions/{name}/revisions/{number}/quarantine")
async def revisions_quarantine(
    call: Call, name: Name, number: Number, body: ActionRequest = NO_REASON
) -> Revision:
    """Release a revision nowhere any more; clusters that have it keep it."""
    return await quarantine.quarantine(call.cp, call.caller, name, number, body)


@api.endpoint("POST", "v1/extensions/{name}/revisions/{number}/release")
async def revisions_release(
    call: Call, name: Name, number: Number, body: ActionRequest = NO_REASON
) -> Revision:
    """Lift a quarantine; nothing is released by that alone."""
    return await quarantine.release(call.cp, call.caller, name, number, body)
