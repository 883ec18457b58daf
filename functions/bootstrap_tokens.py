"""Bootstrap tokens: one-time passes that let a new cluster register."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from functions.edge.endpoint import Call
from functions.edge.paging import PageQuery
from functions.edge.resource import Resource
from shared.contract.page import Page
from shared.contract.registration import (
    BootstrapToken,
    BootstrapTokenRequest,
    CreatedBootstrapToken,
)
from shared.services import bootstrap_tokens

api = Resource("bootstrap tokens")
ANY_CLUSTER = BootstrapTokenRequest()
"""What an empty body asks for."""


@api.endpoint("POST", "v1/bootstrap-tokens", status=HTTPStatus.CREATED, shown_once=True)
async def bootstrap_tokens_create(
    call: Call, body: BootstrapTokenRequest = ANY_CLUSTER
) -> CreatedBootstrapToken:
    """Create a token; its text is in this answer and never again."""
    return await bootstrap_tokens.create(call.cp, call.caller, body)


@api.endpoint("GET", "v1/bootstrap-tokens")
async def bootstrap_tokens_list(call: Call, query: PageQuery) -> Page[BootstrapToken]:
    """List tokens, newest first, without their text."""
    return await bootstrap_tokens.list_tokens(
        call.cp, call.caller, cursor=query.cursor, limit=query.limit
    )


@api.endpoint("DELETE", "v1/bootstrap-tokens/{token_id}")
async def bootstrap_tokens_revoke(call: Call, token_id: UUID) -> None:
    """Revoke a token; what it was used for already stays."""
    await bootstrap_tokens.revoke(call.cp, call.caller, token_id)
