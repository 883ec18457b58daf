"""Every resource and every timer of the app, in the order of the documentation."""

from __future__ import annotations

from functions import bootstrap_tokens, documents, events, metrics, register
from functions.edge.endpoint import Endpoint
from functions.edge.resource import Resource
from functions.edge.timer import Timer
from functions.timers import heartbeat_flush

RESOURCES: tuple[Resource, ...] = (
    register.api,
    bootstrap_tokens.api,
    events.api,
    metrics.api,
    documents.api,
)
TIMERS: tuple[Timer, ...] = (heartbeat_flush.timer,)


def endpoints() -> tuple[Endpoint, ...]:
    """Every HTTP endpoint."""
    return tuple(endpoint for resource in RESOURCES for endpoint in resource.endpoints)
