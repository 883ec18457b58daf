"""The audit trail."""

from __future__ import annotations

from functions.edge.endpoint import Call
from functions.edge.paging import PageQuery
from functions.edge.resource import Resource
from shared.contract.events import Event, EventVerification
from shared.contract.page import Page
from shared.services import events
from shared.services.events import EventFilter

api = Resource("events")


class EventQuery(EventFilter, PageQuery):
    """Which entries to show, or whether to check the whole trail instead."""

    verify: bool = False
    """Check the hash chain of the whole trail; every other parameter is left aside."""


@api.endpoint("GET", "v1/events")
async def events_list(call: Call, query: EventQuery) -> Page[Event] | EventVerification:
    """List the audit trail, newest first, or verify it."""
    if query.verify:
        return await events.verify(call.cp, call.caller)
    chosen = EventFilter(subject=query.subject, action=query.action, actor=query.actor)
    return await events.list_events(
        call.cp, call.caller, chosen=chosen, cursor=query.cursor, limit=query.limit
    )
