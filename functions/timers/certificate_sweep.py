"""Takes the rotation of the CA on, a step at a time."""

from __future__ import annotations

from functions.edge.timer import Timer
from shared.services import ca_rotation
from shared.services.control_plane import ControlPlane

timer = Timer()


@timer.every("ARCBRIDGE_CERTIFICATE_SWEEP_SCHEDULE")
async def certificate_sweep(cp: ControlPlane) -> None:
    """Activate, serve and remove generations of the CA when everyone is ready for it."""
    await ca_rotation.sweep(cp)
