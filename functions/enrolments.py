"""Clusters that asked to join and wait for an admin."""

from __future__ import annotations

from functions.edge.endpoint import Call
from functions.edge.paging import PageQuery
from functions.edge.resource import Resource
from shared.contract.base import Name
from shared.contract.errors import ErrorCode
from shared.contract.page import Page
from shared.contract.registration import Enrolment, EnrolmentDecision, EnrolmentState
from shared.services import enrolments

api = Resource("enrolments")
NO_REASON = EnrolmentDecision()
"""What an empty body stands for."""


class EnrolmentQuery(PageQuery):
    """Which ones to list."""

    state: EnrolmentState | None = None


@api.endpoint("GET", "v1/enrolments")
async def enrolments_list(call: Call, query: EnrolmentQuery) -> Page[Enrolment]:
    """List the clusters that asked to join with a token that needs approval, newest first."""
    return await enrolments.list_enrolments(
        call.cp, call.caller, state=query.state, cursor=query.cursor, limit=query.limit
    )


@api.endpoint("POST", "v1/enrolments/{name}/approve", problems=(ErrorCode.CONFLICT,))
async def enrolments_approve(
    call: Call, name: Name, body: EnrolmentDecision = NO_REASON
) -> Enrolment:
    """Let a cluster join; it gets its certificate when it asks the next time."""
    return await enrolments.decide(call.cp, call.caller, name, EnrolmentState.APPROVED, body)


@api.endpoint("POST", "v1/enrolments/{name}/reject", problems=(ErrorCode.CONFLICT,))
async def enrolments_reject(
    call: Call, name: Name, body: EnrolmentDecision = NO_REASON
) -> Enrolment:
    """Turn a cluster away; its token is of no use any more."""
    return await enrolments.decide(call.cp, call.caller, name, EnrolmentState.REJECTED, body)
