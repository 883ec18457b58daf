"""The pacer: asks the planner what each rollout may do now, and does it."""

from __future__ import annotations

from functions.edge.timer import Timer
from shared.services import pacer, timers
from shared.services.control_plane import ControlPlane

timer = Timer()


@timer.every("ARCBRIDGE_PACER_SCHEDULE")
async def rollout_pacer(cp: ControlPlane) -> None:
    """Move every rollout that is due."""
    await pacer.tick(cp)
    await timers.note_run(cp, "rollout_pacer")
