"""Probes for the platform, and open incidents for the person on call."""

from __future__ import annotations

from functions import runtime
from functions.edge.endpoint import Call
from functions.edge.resource import Resource
from shared.contract.base import WireModel
from shared.contract.errors import ErrorCode
from shared.contract.events import HealthSummary
from shared.domain.errors import ArcBridgeError
from shared.services import health

api = Resource("health")
RETRY_SECONDS = 5.0


class Liveness(WireModel):
    """This worker answers."""

    live: bool = True


class Readiness(WireModel):
    """Which servers answer to this worker."""

    ready: bool
    postgres: bool
    redis: bool
    """May be away: limits then hold per worker, and reports wait."""


@api.endpoint("GET", "health/live")
async def health_live() -> Liveness:
    """Whether this worker answers at all; asks nothing of any other server."""
    return Liveness()


@api.endpoint("GET", "health/ready", problems=(ErrorCode.UNAVAILABLE,))
async def health_ready() -> Readiness:
    """Whether this worker can serve; 503 while the database does not answer."""
    found = await health.ready(await runtime.control_plane())
    if not found.ready:
        raise ArcBridgeError(
            ErrorCode.UNAVAILABLE, "The database does not answer.", retry_after=RETRY_SECONDS
        )
    return Readiness(ready=found.ready, postgres=found.postgres, redis=found.redis)


@api.endpoint("GET", "v1/health/summary")
async def health_summary(call: Call) -> HealthSummary:
    """List open incidents, worst first, with their runbooks, and counts by state."""
    return await health.summary(call.cp, call.caller)
