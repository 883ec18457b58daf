"""Drift: what differs from what was declared, and what to do about it."""

from __future__ import annotations

from uuid import UUID

from functions.edge.endpoint import Call
from functions.edge.paging import PageQuery
from functions.edge.resource import Resource
from shared.contract.base import Name
from shared.contract.cluster import (
    CorrectionsAsked,
    Drift,
    DriftAccept,
    DriftAction,
    DriftCorrection,
)
from shared.contract.errors import ErrorCode
from shared.contract.page import Page
from shared.contract.states import DriftKind
from shared.services import corrections, drift
from shared.services.drift import DriftFilter

api = Resource("drift")
NO_REASON = DriftAction()
"""What an empty body stands for."""


class DriftQuery(PageQuery):
    """Which drift to list."""

    cluster: Name | None = None
    extension: Name | None = None
    kind: DriftKind | None = None


@api.endpoint("GET", "v1/drift")
async def drift_list(call: Call, query: DriftQuery) -> Page[Drift]:
    """List open drift: fields, desired and observed values, and which manager made them."""
    chosen = DriftFilter(cluster=query.cluster, extension=query.extension, kind=query.kind)
    return await drift.list_drifts(
        call.cp, call.caller, chosen=chosen, cursor=query.cursor, limit=query.limit
    )


@api.endpoint("POST", "v1/drift/{drift_id}/correct")
async def drift_correct(call: Call, drift_id: UUID, body: DriftAction = NO_REASON) -> Drift:
    """Ask the cluster's agent to set it right, once."""
    return await drift.correct(call.cp, call.caller, drift_id, body)


@api.endpoint("POST", "v1/drift/correct", problems=(ErrorCode.NOT_FOUND,))
async def drift_correct_many(call: Call, body: DriftCorrection) -> CorrectionsAsked:
    """Ask for the correction of an extension's drift over many clusters, at its rollouts' pace."""
    return await corrections.ask(call.cp, call.caller, body)


@api.endpoint("POST", "v1/drift/{drift_id}/accept")
async def drift_accept(call: Call, drift_id: UUID, body: DriftAccept) -> Drift:
    """Call the differences right until a time."""
    return await drift.accept(call.cp, call.caller, drift_id, body)
