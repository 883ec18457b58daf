"""Drift over the whole fleet: versions, live objects and silence, in one pass."""

from __future__ import annotations

from functions.edge.timer import Timer
from shared.services import drift_sweep as service
from shared.services.control_plane import ControlPlane

timer = Timer()


@timer.every("ARCBRIDGE_DRIFT_SWEEP_SCHEDULE")
async def drift_sweep(cp: ControlPlane) -> None:
    """Open and close drifts."""
    await service.sweep(cp)
