"""Rollouts: how they go, and stepping in."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from functions.clusters import NO_REASON
from functions.edge.endpoint import Call, IfMatch
from functions.edge.paging import PageQuery
from functions.edge.resource import Resource
from shared.contract.base import Name
from shared.contract.errors import ErrorCode
from shared.contract.freeze import FreezeOverride
from shared.contract.page import Page
from shared.contract.rollout import ActionRequest, Rollout, RolloutTarget
from shared.contract.states import RolloutState, TargetState
from shared.services import freeze_override, retry, rollout_targets, rollouts

api = Resource("rollouts")


class RolloutQuery(PageQuery):
    """Which rollouts to list."""

    extension: Name | None = None
    state: RolloutState | None = None
    active: bool | None = None
    """True for those that are not over, false for those that are."""


class TargetQuery(PageQuery):
    """Which targets to list."""

    state: TargetState | None = None


@api.endpoint("GET", "v1/rollouts")
async def rollouts_list(call: Call, query: RolloutQuery) -> Page[Rollout]:
    """List rollouts, newest first."""
    return await rollouts.list_rollouts(
        call.cp,
        call.caller,
        extension=query.extension,
        state=query.state,
        active=query.active,
        cursor=query.cursor,
        limit=query.limit,
    )


@api.endpoint("GET", "v1/rollouts/{rollout_id}")
async def rollouts_get(call: Call, rollout_id: UUID) -> Rollout:
    """Read one rollout, stage by stage, with what it waits for."""
    return await rollouts.get(call.cp, call.caller, rollout_id)


@api.endpoint("GET", "v1/rollouts/{rollout_id}/targets")
async def rollouts_targets(call: Call, rollout_id: UUID, query: TargetQuery) -> Page[RolloutTarget]:
    """List a rollout's clusters in release order."""
    return await rollout_targets.list_targets(
        call.cp, call.caller, rollout_id, state=query.state, cursor=query.cursor, limit=query.limit
    )


@api.endpoint("POST", "v1/rollouts/{rollout_id}/pause", if_match=IfMatch.OPTIONAL)
async def rollouts_pause(call: Call, rollout_id: UUID, body: ActionRequest = NO_REASON) -> Rollout:
    """Release nothing more until it is resumed."""
    return await rollouts.pause(call.cp, call.caller, rollout_id, call.if_match, body)


@api.endpoint("POST", "v1/rollouts/{rollout_id}/resume", if_match=IfMatch.OPTIONAL)
async def rollouts_resume(call: Call, rollout_id: UUID, body: ActionRequest = NO_REASON) -> Rollout:
    """Go on; failures so far no longer count against the budgets."""
    return await rollouts.resume(call.cp, call.caller, rollout_id, call.if_match, body)


@api.endpoint("POST", "v1/rollouts/{rollout_id}/cancel", if_match=IfMatch.OPTIONAL)
async def rollouts_cancel(call: Call, rollout_id: UUID, body: ActionRequest = NO_REASON) -> Rollout:
    """End it where it stands: what was released stays."""
    return await rollouts.cancel(call.cp, call.caller, rollout_id, call.if_match, body)


@api.endpoint("POST", "v1/rollouts/{rollout_id}/approve", if_match=IfMatch.OPTIONAL)
async def rollouts_approve(
    call: Call, rollout_id: UUID, body: ActionRequest = NO_REASON
) -> Rollout:
    """Open the stage that waits for a person's approval."""
    return await rollouts.approve(call.cp, call.caller, rollout_id, call.if_match, body)


@api.endpoint(
    "POST",
    "v1/rollouts/{rollout_id}/retry",
    status=HTTPStatus.CREATED,
    if_match=IfMatch.OPTIONAL,
    problems=(ErrorCode.QUARANTINED,),
)
async def rollouts_retry(call: Call, rollout_id: UUID, body: ActionRequest = NO_REASON) -> Rollout:
    """Start a new rollout of its failed, timed-out and skipped clusters, with its own strategy."""
    return await retry.retry(call.cp, call.caller, rollout_id, call.if_match, body)


@api.endpoint("POST", "v1/rollouts/{rollout_id}/override-freeze", if_match=IfMatch.OPTIONAL)
async def rollouts_override_freeze(call: Call, rollout_id: UUID, body: FreezeOverride) -> Rollout:
    """Let it release in spite of freezes and windows, until a time."""
    return await freeze_override.override(call.cp, call.caller, rollout_id, call.if_match, body)
