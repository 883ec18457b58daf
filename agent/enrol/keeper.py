"""Sees to it that the agent has an identity: the first one, and another when it no longer counts.

It never stands in the way of reconciling: while it waits for a token, the engine works on with
the document it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agent.api.errors import ControlPlaneRefused, ControlPlaneUnreachable
from agent.api.transport import InsecureUrl
from agent.backoff import Backoff, Random
from agent.clock import Clock
from agent.cluster.resource import ClusterSpec
from agent.credentials.identity import Identity
from agent.credentials.trust import UntrustedControlPlane
from agent.enrol.decision import Step, next_step
from agent.enrol.registrar import Registrar
from agent.errors import AgentError, KubeError
from agent.waiting import wait_for
from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.contract.registration import ClusterFacts
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

LOOK_SECONDS = 20.0
"""How often a good identity is looked at again."""
TOKEN_SECONDS = 3.0
"""How often the bootstrap Secret is read while a token is missing."""
REFUSED_SECONDS = 60.0
"""A refused token is tried again after this, another token at once."""


@dataclass
class IdentityKeeper:
    """Holds the current identity."""

    registrar: Registrar
    clock: Clock
    random: Random
    spec: Callable[[], ClusterSpec]
    facts: Callable[[], Awaitable[ClusterFacts]]
    on_identity: Callable[[Identity], Awaitable[None]]
    """Hears of each identity that comes into use."""
    on_trouble: Callable[[ReasonCode, str], None]
    """Hears why there is no identity that counts."""
    backoff: Backoff = field(default_factory=Backoff)
    current: Identity | None = None
    _rejected_serial: str | None = None
    _look: asyncio.Event = field(default_factory=asyncio.Event)
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Two changes at once, a new certificate and new roots, must not undo each other."""

    def reject(self) -> None:
        """The relay said that the current certificate does not count any more."""
        if self.current is not None:
            self._rejected_serial = self.current.serial
            self._look.set()

    async def adopt(self, identity: Identity) -> None:
        """Store a renewed identity, then take it into use."""
        async with self._changing:
            await self.registrar.secret.save(identity)
            await self._use(identity)

    async def trust(self, bundle_pem: str) -> None:
        """Store the roots that the relay sent, then trust them and no others.

        Raises UntrustedControlPlane when the current certificate would not chain to them, and
        KubeError; then those before stay.
        """
        async with self._changing:
            if self.current is None:
                return
            identity = await asyncio.to_thread(self.current.trusting, bundle_pem)
            if identity.bundle_digest == self.current.bundle_digest:
                return
            await self.registrar.secret.save(identity)
            await self._use(identity)
        log.info("trusted roots replaced", digest=identity.bundle_digest)

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            self._look.clear()
            try:
                wait = await self._step()
                failures = 0
            except AgentError as error:
                failures += 1
                # On top of what the answer asks for, so that a fleet that waits does not beat time.
                wait = self._say(error) + self.backoff.delay(failures, self.random)
            await wait_for(self._look, wait)

    async def _step(self) -> float:
        """Do what is to be done now; returns seconds until the next look."""
        if self.current is None:
            stored = await self.registrar.secret.load()
            if stored is not None:
                await self._use(stored)
        spec = self.spec()
        token = await self.registrar.token(spec)
        match next_step(self.current, token, spec, self.clock.now(), self._rejected_serial):
            case Step.USE:
                return LOOK_SECONDS
            case Step.WAIT:
                self.on_trouble(
                    ReasonCode.TOKEN_MISSING,
                    f"put a bootstrap token into the Secret {spec.bootstrap_secret}",
                )
                return TOKEN_SECONDS
            case Step.ENROL:
                return await self._register(spec, token or "")

    async def _register(self, spec: ClusterSpec, token: str) -> float:
        """Returns seconds until the next look."""
        try:
            identity = await self.registrar.register(spec, token, await self.facts())
        except ControlPlaneRefused as error:
            if error.retryable:
                raise
            self._say(error)
            await self._wait_for_other_token(spec, token)
            return 0.0
        log.info(
            "registered",
            cluster=identity.registration.cluster_name,
            cluster_id=str(identity.registration.cluster_id),
        )
        async with self._changing:
            await self._use(identity)
        return LOOK_SECONDS

    async def _wait_for_other_token(self, spec: ClusterSpec, token: str) -> None:
        until = self.clock.monotonic() + REFUSED_SECONDS
        while self.clock.monotonic() < until and self.spec() == spec:
            await self.clock.sleep(TOKEN_SECONDS)
            if await self.registrar.token(spec) != token:
                return

    async def _use(self, identity: Identity) -> None:
        self.current = identity
        await self.on_identity(identity)

    def _say(self, error: AgentError) -> float:
        """Tell of a failure; returns the seconds that its answer asks to wait."""
        log.warning("no identity yet", error=str(error))
        match error:
            case ControlPlaneRefused(code=ErrorCode.REGISTRATION_REFUSED):
                self.on_trouble(ReasonCode.REGISTRATION_REFUSED, error.detail)
            case ControlPlaneRefused(code=ErrorCode.PENDING_APPROVAL):
                self.on_trouble(ReasonCode.PENDING_APPROVAL, error.detail)
            case ControlPlaneRefused() | ControlPlaneUnreachable():
                self.on_trouble(ReasonCode.CONTROL_PLANE_UNREACHABLE, str(error))
            case UntrustedControlPlane():
                self.on_trouble(ReasonCode.CONTROL_PLANE_UNTRUSTED, str(error))
            case InsecureUrl():
                self.on_trouble(ReasonCode.CLUSTER_INVALID, str(error))
            case KubeError():
                pass  # the resource's status could not be written either
        return getattr(error, "retry_after", None) or 0.0
