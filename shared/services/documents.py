"""Signs desired documents, with a key that this process alone has.

The key's certificate is of the CA generation that serves, as the relays' own are: every agent that
can still connect is known to trust it. It is renewed at half its life, and when another generation
serves; who that is, is asked for at most once a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contract.desired import DesiredDocument
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity.documents import DocumentKey, new_document_key
from shared.services.authority import CertificateAuthority
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

_LOOK_AGAIN = timedelta(minutes=1)
_ISSUE_SECONDS = 15.0


@dataclass(frozen=True)
class _Held:
    """A key, of which generation it is, and when that was last looked up."""

    key: DocumentKey
    generation: str
    looked_at: datetime

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
        if held is not None and not self._stale(held):
            return held.key
        async with self._changing:
            if self._held is None or self._stale(self._held):
                self._held = await self._renewed(self._held)
            return self._held.key

    def _stale(self, held: _Held) -> bool:
        now = self._clock()
        return held.is_due(now) or now - held.looked_at >= _LOOK_AGAIN

    async def _renewed(self, held: _Held | None) -> _Held:
        now = self._clock()
        generation = (await self._ca.trust()).serving(now)
        if held is not None and held.generation == generation.id and not held.is_due(now):
            return _Held(held.key, held.generation, now)
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
        return _Held(key, generation.id, now)
