"""Renews the certificate at half its life, with a new key, over the certificate it has.

The new identity is stored before it is used; until the relay has seen it the old one counts too,
so an agent that dies anywhere in between comes back with one that is good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

import grpc

from agent.backoff import Backoff, Random, spread
from agent.clock import Clock
from agent.credentials.identity import Identity
from agent.credentials.keys import certificate_request, new_key
from agent.credentials.trust import UntrustedControlPlane
from agent.errors import KubeError
from agent.link.channel import relay_stub
from agent.link.endings import ended_by
from shared.rpc.v1 import relay_pb2 as pb
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

HALF_LIFE_SPREAD = 0.1
RENEW_SECONDS = 30.0
_BACKOFF = Backoff(base_seconds=5.0, cap_seconds=600.0, floor_seconds=1.0)


def renewal_time(not_before: datetime, not_after: datetime, random: Random) -> datetime:
    """Half of the certificate's life ± 10 %."""
    life = not_after - not_before
    return not_before + life * spread(0.5, HALF_LIFE_SPREAD, random)


FIRST_LOOK_SECONDS = 20.0
"""Enough for the relay to be heard, which tells the time that counts."""


@dataclass
class Renewer:
    """Watches one agent's certificate."""

    clock: Clock
    random: Random
    identity: Callable[[], Identity]
    address: Callable[[], str]
    adopt: Callable[[Identity], Awaitable[None]]
    """Stores the new identity and takes it into use, in this order."""
    on_failure: Callable[[str], None]
    backoff: Backoff = field(default=_BACKOFF)

    async def run(self) -> None:
        """Until cancelled."""
        # With a clock that is off a good certificate may look old: the relay tells the time.
        least = min(FIRST_LOOK_SECONDS, _life_seconds(self.identity()) / 10)
        while True:
            identity = self.identity()
            due = renewal_time(identity.not_before, identity.not_after, self.random)
            await self.clock.sleep(max(least, (due - self.clock.now()).total_seconds()))
            # With a clock that is far ahead every certificate is past its half-life already.
            least = _life_seconds(identity) / 10
            if self.identity().serial == identity.serial:
                await self._renew_until_done(identity)

    async def _renew_until_done(self, identity: Identity) -> None:
        # One key for all attempts at one renewal: an answer that got lost is given again.
        key = new_key()
        failures = 0
        # Other roots may come meanwhile: then the certificate is still the one to be renewed.
        while self.identity().serial == identity.serial:
            if await self._attempt(self.identity(), key):
                return
            failures += 1
            # A short life leaves little time for trying: then the tries come closer together.
            delay = self.backoff.delay(failures, self.random)
            await self.clock.sleep(min(delay, max(1.0, _life_seconds(identity) / 20)))

    async def _attempt(self, identity: Identity, key: str) -> bool:
        try:
            renewed = await self._ask(identity, key)
            await self.adopt(renewed)
        except grpc.aio.AioRpcError as error:
            self.on_failure(ended_by(error).detail)
            return False
        except (UntrustedControlPlane, KubeError) as error:
            self.on_failure(str(error))
            return False
        log.info("certificate renewed", not_after=renewed.not_after.isoformat())
        return True

    async def _ask(self, identity: Identity, key: str) -> Identity:
        request = pb.RenewCertificateRequest(
            csr=certificate_request(key, identity.registration.cluster_name)
        )
        async with relay_stub(identity, self.address()) as stub:
            answer = await stub.RenewCertificate(request, timeout=RENEW_SECONDS)
        return await asyncio.to_thread(
            identity.renewed, key, answer.certificate_chain, answer.ca_bundle
        )


def _life_seconds(identity: Identity) -> float:
    return (identity.not_after - identity.not_before).total_seconds()
