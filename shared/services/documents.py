"""Signs desired documents, with a key that this process alone has.

The key's certificate is of the CA generation that serves, as the relays' own are: every agent that
can still connect is known to trust it. It is renewed at half its life, and when another generation
serves; who that is, is asked for at most once a minute. While the CA does not answer, the key goes
on signing to the end of its life: agents must be able to fetch what to run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.contract.desired import DesiredDocument
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity.documents import DocumentKey, new_document_key
from shared.services.authority import CertificateAuthority
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

_LOOK_AGAIN = timedelta(minutes=1)
_TRY_AGAIN = timedelta(seconds=10)
_ISSUE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A key, and of which generation it is."""

    key: DocumentKey
    generation: str
    look_again_at: datetime

    def is_due(self, now: datetime) -> bool:
        half = self.key.not_before + (self.key.not_after - self.key.not_before) / 2
        return now >= half


class DocumentSigner:
    """Made once per process."""

    def __init__(
        self, ca: CertificateAuthority, trust_domain: str, clock: Callable[[], datetime]
    ) -> None:
        self._ca = ca
        self._trust_domain = trust_domain
        self._clock = clock
        self._held: _Held | None = None
        self._changing = asyncio.Lock()

    async def sign(self, document: DesiredDocument, signed_at: datetime) -> DesiredDocument:
        """The document as it was at that moment, signed. Raises Unavailable."""
        return (await self._key()).signed(document, signed_at)

    async def _key(self) -> DocumentKey:
        held = self._held
        if held is not None and self._clock() < held.look_again_at:
            return held.key
        async with self._changing:
            held = self._held
            if held is None or self._clock() >= held.look_again_at:
                held = self._held = await self._looked_up(held)
            return held.key

    async def _looked_up(self, held: _Held | None) -> _Held:
        now = self._clock()
        try:
            return await self._renewed(held, now)
        except ArcBridgeError as error:
            if held is None or now >= held.key.not_after - _LOOK_AGAIN:
                raise
            log.warning("document key not renewed", detail=error.detail, until=held.key.not_after)
            return replace(held, look_again_at=now + _TRY_AGAIN)

    async def _renewed(self, held: _Held | None, now: datetime) -> _Held:
        generation = (await self._ca.trust()).serving(now)
        if held is not None and held.generation == generation.id and not held.is_due(now):
            return replace(held, look_again_at=now + _LOOK_AGAIN)
        try:
            async with asyncio.timeout(_ISSUE_SECONDS):
                key = await new_document_key(
                    self._ca.issuer(generation), trust_domain=self._trust_domain, now=now
                )
        except TimeoutError as error:
            raise ArcBridgeError(
                ErrorCode.UNAVAILABLE, "the CA does not answer", retry_after=10.0
            ) from error
        log.info("document key certified", generation=generation.id, not_after=key.not_after)
        return _Held(key, generation.id, now + _LOOK_AGAIN)
