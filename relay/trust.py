"""Keeps up with the CA: which generations clients may be of, and what agents are told to trust.

Looks in Postgres every few seconds and says there what it takes; a rotation goes on only when every
relay does. Agents are sent the roots when theirs are others, and what they say they hold is noted.
"""

from __future__ import annotations

import asyncio

from relay.registry import Registry
from relay.resources import Resources
from relay.stream import Stream
from relay.tls import ServerIdentity
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity.issuer import Authority
from shared.identity.trust import Generation, Trust
from shared.rpc.v1 import relay_pb2 as pb
from shared.services import ca_relays, sessions
from shared.services.cluster_key import ClusterKey
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

NOTES_SECONDS = 0.5
FIRST_LOOK_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 1.0


class TrustKeeper:
    """Of one relay process."""

    def __init__(
        self, resources: Resources, registry: Registry, tls: ServerIdentity, relay_id: str
    ) -> None:
        self._resources = resources
        self._registry = registry
        self._tls = tls
        self._relay_id = relay_id
        self._trust: Trust | None = None
        self._held: dict[ClusterKey, tuple[int, str]] = {}
        """What agents say they trust, until it is stored: the newest of each."""

    @property
    def authorities(self) -> tuple[Authority, ...]:
        """The issuing CAs that a client's certificate may be of."""
        return self._trust.authorities if self._trust else ()

    async def learn(self) -> None:
        """The first look, before anyone can connect. Raises Unavailable when Postgres is away for
        long: without it nobody could be let in anyway."""
        async with asyncio.timeout(FIRST_LOOK_SECONDS):
            while self._trust is None:
                try:
                    await self.look()
                except ArcBridgeError as error:
                    if error.code is not ErrorCode.UNAVAILABLE:
                        raise
                    log.warning("the trusted CAs cannot be read yet", detail=error.detail)
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def run(self, every_seconds: float) -> None:
        """Look until cancelled, and store what agents say in between."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                if loop.time() >= due:
                    due = loop.time() + every_seconds
                    await self.look()
                await self.flush()
            except (ArcBridgeError, TimeoutError) as error:
                log.warning("the relay cannot keep up with the CA", error=str(error))
            await asyncio.sleep(min(NOTES_SECONDS, every_seconds))

    async def look(self) -> None:
        """Take what is trusted now into use, tell the agents, and say so. Raises Unavailable."""
        trust = await self._resources.ca.trust()
        changed = self._trust is None or trust != self._trust
        self._trust = trust
        if changed:
            log.info("trusted CAs read", generations=[each.id for each in trust.generations])
            for stream in self._registry.all():
                self._tell(stream)
        try:
            await self._tls.use(trust)
        finally:
            # A certificate that cannot be had keeps the one before; it is said which that is.
            await ca_relays.note(
                self._resources, self._relay_id, self._taken(), self._tls.generation
            )

    async def flush(self) -> None:
        """Store what agents say they trust; what cannot be stored now stays. Raises Unavailable."""
        held, self._held = self._held, {}
        try:
            await sessions.note_bundles(self._resources, held)
        except BaseException:
            self._held = held | self._held
            raise

    async def leave(self) -> None:
        """Say that this relay is gone."""
        try:
            await self.flush()
            await ca_relays.forget(self._resources, self._relay_id)
        except ArcBridgeError as error:
            log.warning("the relay's end is not on record", code=error.code)

    def greet(self, stream: Stream, digest: str) -> None:
        """A stream has opened, and its agent said which roots it trusts."""
        stream.bundle_held = digest
        self._tell(stream)

    def hold(self, stream: Stream, digest: str) -> None:
        """An agent says which roots it trusts by now."""
        if digest != stream.bundle_held:
            stream.bundle_held = digest
            self._held[stream.key] = (stream.epoch, digest)

    def _tell(self, stream: Stream) -> None:
        """Send the roots, once in each session unless they change."""
        trust = self._trust
        # What it was told last is what it holds or will: it may not have said so yet, and a
        # generation that was aborted since would stay with it.
        if trust is None or trust.digest == (stream.bundle_told or stream.bundle_held):
            return
        stream.bundle_told = trust.digest
        bundle = pb.CaBundle(bundle=trust.bundle, digest=trust.digest)
        stream.tell(pb.RelayMessage(ca_bundle=bundle))

    def _taken(self) -> list[str]:
        """The generations that are taken from clients here and could be signed with here."""
        generations = self._trust.generations if self._trust else ()
        return [each.id for each in generations if self._can_sign(each)]

    def _can_sign(self, generation: Generation) -> bool:
        try:
            self._resources.ca.issuer(generation)
        except ArcBridgeError:
            return False
        return True
