"""Deletes what is past its time."""

from __future__ import annotations

from functions.edge.timer import Timer
from shared.services import retention as service
from shared.services.control_plane import ControlPlane

timer = Timer()


@timer.every("ARCBRIDGE_RETENTION_SCHEDULE")
async def retention(cp: ControlPlane) -> None:
    """Delete rows past their time, in batches."""
    await service.run(cp)
