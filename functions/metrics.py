"""Prometheus text: this worker's counts, and the fleet in numbers; nothing names a tenant."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from functions import runtime
from functions.edge.endpoint import RawAnswer
from functions.edge.resource import Resource
from functions.instruments import instruments
from shared.services.metrics import Collector

api = Resource("health")
# One for each control plane of this worker: it remembers its last reading.
_collectors: WeakKeyDictionary[object, Collector] = WeakKeyDictionary()


@api.endpoint("GET", "metrics", content_type="text/plain")
async def metrics() -> RawAnswer:
    """Metrics for Prometheus.

    While the database does not answer, `arcbridge_postgres_up` is 0 and the fleet's are left out.
    """
    plane = await runtime.control_plane()
    collector = _collectors.setdefault(plane.db, Collector(plane))
    fleet, _ = await collector.render()
    own, content_type = instruments().registry.render()
    return RawAnswer(own + fleet, content_type)
