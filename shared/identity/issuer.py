"""The issuing CA behind one interface: a key in Key Vault, or a file in development.

Whoever holds the key only signs what `certificates` has built. A root, kept offline, has signed the
issuing CA; agents and the relay trust the roots of the bundle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity import certificates
from shared.identity.certificates import IssuedCertificate, PublicKey
from shared.identity.spiffe import SpiffeId


@dataclass(frozen=True, slots=True)
class Authority:
    """The certificates of one issuing CA."""

    issuing: x509.Certificate
    roots: tuple[x509.Certificate, ...]
    """To be trusted; the first one has signed `issuing`."""

    @property
    def bundle(self) -> str:
        """PEM of the roots."""
        return "".join(certificates.certificate_pem(root) for root in self.roots)

    @property
    def pin(self) -> str:
        """`sha256:<hex>` of the first root's SubjectPublicKeyInfo."""
        return certificates.pin(self.roots[0])


class CertificateIssuer(Protocol):
    """Makes certificates. Raises ArcBridgeError Unavailable while the key cannot sign."""

    @property
    def authority(self) -> Authority:
        """The certificates that the issued ones chain to."""
        ...

    async def issue_agent(
        self, public_key: PublicKey, *, spiffe_id: SpiffeId, now: datetime
    ) -> IssuedCertificate:
        """A cluster's client certificate."""
        ...

    async def issue_server(
        self, public_key: PublicKey, *, host_names: tuple[str, ...], now: datetime
    ) -> IssuedCertificate:
        """The relay's server certificate."""
        ...

    async def issue_signer(
        self, public_key: PublicKey, *, trust_domain: str, now: datetime
    ) -> IssuedCertificate:
        """A certificate to sign desired documents with."""
        ...


class SigningIssuer(ABC):
    """An issuer over any way to sign."""

    leaf_lifetime_min: ClassVar[timedelta] = certificates.LEAF_LIFETIME_MIN

    def __init__(
        self,
        authority: Authority,
        *,
        leaf_lifetime: timedelta,
        random: Callable[[int], bytes],
    ) -> None:
        if not (self.leaf_lifetime_min <= leaf_lifetime <= certificates.LEAF_LIFETIME_MAX):
            raise ValueError(f"a leaf's lifetime is between {self.leaf_lifetime_min} and 30 days")
        self.authority = authority
        self._lifetime = leaf_lifetime
        self._random = random

    @abstractmethod
    async def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign with the issuing key."""

    async def issue_agent(
        self, public_key: PublicKey, *, spiffe_id: SpiffeId, now: datetime
    ) -> IssuedCertificate:
        """A cluster's client certificate."""
        self._refuse_after_end(now)
        return await self._issue(
            certificates.agent_leaf(
                public_key,
                spiffe_id=spiffe_id,
                issuer=self.authority.issuing,
                serial=self._serial(),
                now=now,
                lifetime=self._lifetime,
            )
        )

    async def issue_server(
        self, public_key: PublicKey, *, host_names: tuple[str, ...], now: datetime
    ) -> IssuedCertificate:
        """The relay's server certificate."""
        self._refuse_after_end(now)
        return await self._issue(
            certificates.server_leaf(
                public_key,
                host_names=host_names,
                issuer=self.authority.issuing,
                serial=self._serial(),
                now=now,
                lifetime=self._lifetime,
            )
        )

    async def issue_signer(
        self, public_key: PublicKey, *, trust_domain: str, now: datetime
    ) -> IssuedCertificate:
        """A certificate to sign desired documents with."""
        self._refuse_after_end(now)
        return await self._issue(
            certificates.signer_leaf(
                public_key,
                trust_domain=trust_domain,
                issuer=self.authority.issuing,
                serial=self._serial(),
                now=now,
                lifetime=self._lifetime,
            )
        )

    async def _issue(self, builder: x509.CertificateBuilder) -> IssuedCertificate:
        leaf = await self.sign(builder)
        return certificates.describe(leaf, (self.authority.issuing,))

    def _serial(self) -> int:
        return certificates.serial_from(self._random(certificates.SERIAL_BYTES))

    def _refuse_after_end(self, now: datetime) -> None:
        if now >= self.authority.issuing.not_valid_after_utc:
            raise ArcBridgeError(
                ErrorCode.UNAVAILABLE,
                "the issuing CA's certificate has ended: it must be replaced",
                retry_after=60.0,
            )


def signature_hash(key: ec.EllipticCurvePrivateKey) -> hashes.SHA256 | hashes.SHA384:
    """The hash that fits the curve's strength."""
    return hashes.SHA384() if isinstance(key.curve, ec.SECP384R1) else hashes.SHA256()
