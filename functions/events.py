"""The audit trail."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from functions.edge.endpoint import Call
from functions.edge.paging import PageQuery
from functions.edge.resource import Resource
from shared.contract.archive import TrailEnd
from shared.contract.base import WireModel
from shared.contract.events import Event, EventVerification
from shared.contract.limits import PAGE_DEFAULT, PAGE_MAX
from shared.contract.page import Page
from shared.contract.trail import TrailStretch
from shared.services import events
from shared.services.events import EventFilter

api = Resource("events")


class EventQuery(EventFilter, PageQuery):
    """Which entries to show, or whether to check the trail instead."""

    verify: bool = False
    """Check the hash chain instead; but for `after` and `hash`, other parameters are left aside."""
    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """For `verify`: `nextAfter` of the answer before; from the first entry without one."""
    hash: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""
    """For `verify`: `nextHash` of the answer before."""


@api.endpoint("GET", "v1/events")
async def events_list(call: Call, query: EventQuery) -> Page[Event] | EventVerification:
    """List the audit trail, newest first, or verify it."""
    if query.verify:
        start = TrailEnd(sequence=query.after, hash=query.hash)
        return await events.verify(call.cp, call.caller, start=start)
    chosen = EventFilter(subject=query.subject, action=query.action, actor=query.actor)
    return await events.list_events(
        call.cp, call.caller, chosen=chosen, cursor=query.cursor, limit=query.limit
    )


class ExportQuery(WireModel):
    """Which stretch of the trail."""

    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """`nextAfter` of the stretch before; from the first entry without one."""
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    """Entries at most."""


@api.endpoint("GET", "v1/events/export")
async def events_export(call: Call, query: ExportQuery) -> TrailStretch:
    """Read the audit trail out with its hashes, oldest first, to be kept and checked elsewhere."""
    return await events.export(call.cp, call.caller, after=query.after, limit=query.limit)
