"""Heartbeats from Redis into Postgres, in one statement per batch."""

from __future__ import annotations

from functions.edge.timer import Timer
from shared.services import heartbeats, timers
from shared.services.control_plane import ControlPlane

timer = Timer()


@timer.every("ARCBRIDGE_HEARTBEAT_FLUSH_SCHEDULE")
async def heartbeat_flush(cp: ControlPlane) -> None:
    """Store the heartbeats that the relays have gathered."""
    await heartbeats.flush(cp)
    await timers.note_run(cp, "heartbeat_flush")
