"""The certification authority as a process sees it: who is trusted now, and how to sign.


Which generation issues is read from Postgres for each certificate, so that no process goes on with
a generation that has retired; the keys are the keyring's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from shared.contract.ca import CaState
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity.certificates import IssuedCertificate, PublicKey
from shared.identity.issuer import CertificateIssuer
from shared.identity.keyring import Keyring, Offer
from shared.identity.spiffe import SpiffeId
from shared.identity.trust import Generation, Trust, authority_of, chain_of
from shared.store.database import Database
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("ca")


class CertificateAuthority:
    """Made once per process."""

    def __init__(self, db: Database, keyring: Keyring, clock: Callable[[], datetime]) -> None:
        self.keyring = keyring
        self._db = db
        self._clock = clock
        self._read: dict[str, Generation] = {}
        """By id: certificates are parsed once."""

    async def trust(self) -> Trust:
        """Who is trusted now. The first call of all registers the CA there is. Raises Unavailable
        when Postgres is away."""
        async with self._db.platform() as tx:
            rows = await tx.all(_Q.trusted)
            if not rows:
                await self._add_first(tx)
                rows = await tx.all(_Q.trusted)
        return Trust(tuple(self._generation(row) for row in rows))

    async def issue_agent(
        self, generation: Generation, public_key: PublicKey, spiffe_id: SpiffeId
    ) -> IssuedCertificate:
        """A cluster's client certificate. Raises Unavailable while it cannot be signed."""
        issuer = self.issuer(generation)
        return await issuer.issue_agent(public_key, spiffe_id=spiffe_id, now=self._clock())

    def issuer(self, generation: Generation) -> CertificateIssuer:
        """Signs as this generation. Raises Unavailable where its key is not (yet) here."""
        return self.keyring.issuer(Offer(generation.authority, generation.key_id))

    async def _add_first(self, tx: Transaction) -> None:
        offers = self.keyring.offers()
        if not offers:
            raise ArcBridgeError(ErrorCode.UNAVAILABLE, "there is no CA", retry_after=60.0)
        await tx.execute(_Q.add_first, **columns(offers[0]), now=self._clock())

    def _generation(self, row: Row) -> Generation:
        known = self._read.get(row["generation_id"])
        found = Generation(
            id=row["generation_id"],
            authority=known.authority if known else authority_of(row["chain"]),
            state=CaState(row["state"]),
            key_id=row["key_id"],
            serves_since=row["serves_since"],
        )
        self._read[found.id] = found
        return found


def columns(offer: Offer) -> dict[str, object]:
    """A generation as it is stored."""
    return {
        "generation_id": offer.id,
        "chain": chain_of(offer.authority),
        "key_id": offer.key_id,
        "pin": offer.authority.pin,
        "not_after": offer.authority.issuing.not_valid_after_utc,
    }
