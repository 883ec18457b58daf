"""Prometheus text of this worker: counts and times, nothing of any tenant."""

from __future__ import annotations

from functions.edge.endpoint import RawAnswer
from functions.edge.resource import Resource
from functions.instruments import instruments

api = Resource("platform")


@api.endpoint("GET", "metrics", content_type="text/plain")
async def metrics() -> RawAnswer:
    """This worker's metrics."""
    content, content_type = instruments().registry.render()
    return RawAnswer(content, content_type)
