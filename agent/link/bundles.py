"""Takes the roots that the relay sends: stored first, trusted then, and said in the heartbeats.

They come over mTLS, from a relay that the roots before vouch for. What cannot be stored is tried
again; a newer bundle takes the place of one that waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agent.backoff import Backoff, Random
from agent.clock import Clock
from agent.credentials.trust import UntrustedControlPlane
from agent.errors import KubeError
from shared.contract.reasons import ReasonCode
from shared.telemetry.logs import get_logger

log = get_logger(__name__)


class BundleKeeper:
    """Of one agent."""

    def __init__(
        self,
        clock: Clock,
        random: Random,
        trust: Callable[[str], Awaitable[None]],
        notice: Callable[[ReasonCode | None, str], None],
    ) -> None:
        """`trust` stores a bundle and takes it into use; `notice` hears why one is not taken."""
        self._clock = clock
        self._random = random
        self._trust = trust
        self._notice = notice
        self._backoff = Backoff(base_seconds=2.0, cap_seconds=120.0, floor_seconds=0.5)
        self._waiting: str | None = None
        self._offered = asyncio.Event()

    def offer(self, bundle_pem: str) -> None:
        """The relay sent these roots."""
        self._waiting = bundle_pem
        self._offered.set()

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            await self._offered.wait()
            self._offered.clear()
            bundle, self._waiting = self._waiting, None
            if bundle is None:
                continue
            try:
                await self._trust(bundle)
                failures = 0
            except UntrustedControlPlane as error:
                # Trying again changes nothing: our certificate is not of these roots.
                self._notice(ReasonCode.CONTROL_PLANE_UNTRUSTED, f"new roots refused: {error}")
            except KubeError as error:
                log.warning("new roots could not be stored", error=str(error))
                failures += 1
                await self._clock.sleep(self._backoff.delay(failures, self._random))
                if self._waiting is None:
                    self.offer(bundle)
