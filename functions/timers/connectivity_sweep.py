"""Cluster states: who went silent, who came back, whose certificate has ended."""

from __future__ import annotations

from functions.edge.timer import Timer
from shared.services import connectivity
from shared.services.control_plane import ControlPlane

timer = Timer()


@timer.every("ARCBRIDGE_CONNECTIVITY_SWEEP_SCHEDULE")
async def connectivity_sweep(cp: ControlPlane) -> None:
    """Bring every cluster's state up to date."""
    await connectivity.sweep(cp)
