"""The checks of a client certificate that TLS does not make for us (RFC 5280, RFC 9525).

gRPC and `cryptography` accept a leaf without any extended key usage, and neither knows our names.
Pure: certificates and the time come in. Whether the serial is still good is for the store to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.domain.errors import ArcBridgeError
from shared.identity import spiffe
from shared.identity.certificates import thumbprint
from shared.identity.issuer import Authority

T = TypeVar("T", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a certificate names."""

    tenant: str
    cluster_id: UUID
    serial: str
    """Lower case hexadecimal."""
    sha256: str
    """`x5t#S256`."""
    not_before: datetime
    not_after: datetime


class PeerFlaw(StrEnum):
    """Why a certificate is refused; for logs, never told to the peer."""

    UNREADABLE = "unreadable"
    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"
    FOREIGN_CA = "not issued by our CA"
    IS_CA = "is a CA itself"
    NOT_FOR_CLIENTS = "not for client authentication"
    NO_IDENTITY = "does not name one cluster of this trust domain"


class PeerRefusedError(ArcBridgeError):
    """The certificate is refused; `flaw` says why, to us."""

    def __init__(self, flaw: PeerFlaw) -> None:
        reason = ReasonCode.CERTIFICATE_EXPIRED if flaw is PeerFlaw.EXPIRED else None
        super().__init__(
            ErrorCode.UNAUTHENTICATED, "the client certificate is refused", reason=reason
        )
        self.flaw = flaw


def check_peer(
    leaf_pem: bytes, *, authorities: tuple[Authority, ...], trust_domain: str, now: datetime
) -> Peer:
    """Whom the leaf names, when everything about it holds. Raises PeerRefusedError.

    `authorities` are the issuing CAs that are good now (two during a rotation).
    """
    try:
        leaf = x509.load_pem_x509_certificate(leaf_pem)
        _check_time(leaf, now)
        _check_issuer(leaf, authorities, now)
        _check_usage(leaf)
        identity = _identity(leaf)
    except (ValueError, x509.DuplicateExtension) as error:
        raise PeerRefusedError(PeerFlaw.UNREADABLE) from error
    if identity is None or identity.trust_domain != trust_domain:
        raise PeerRefusedError(PeerFlaw.NO_IDENTITY)
    return Peer(
        tenant=identity.tenant,
        cluster_id=identity.cluster_id,
        serial=f"{leaf.serial_number:x}",
        sha256=thumbprint(leaf),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def _check_time(leaf: x509.Certificate, now: datetime) -> None:
    if now < leaf.not_valid_before_utc:
        raise PeerRefusedError(PeerFlaw.NOT_YET_VALID)
    if now >= leaf.not_valid_after_utc:
        raise PeerRefusedError(PeerFlaw.EXPIRED)


def _check_issuer(
    leaf: x509.Certificate, authorities: tuple[Authority, ...], now: datetime
) -> None:
    for authority in authorities:
        try:
            leaf.verify_directly_issued_by(authority.issuing)
        except (ValueError, TypeError, InvalidSignature):
            continue
        if now < authority.issuing.not_valid_after_utc:
            return
    raise PeerRefusedError(PeerFlaw.FOREIGN_CA)


def _check_usage(leaf: x509.Certificate) -> None:
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise PeerRefusedError(PeerFlaw.IS_CA)
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is None or ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise PeerRefusedError(PeerFlaw.NOT_FOR_CLIENTS)


def _identity(leaf: x509.Certificate) -> spiffe.SpiffeId | None:
    """The only name of the certificate; more than one is as bad as none (SPIFFE X.509-SVID, 2)."""
    names = _extension(leaf, x509.SubjectAlternativeName)
    uris = [] if names is None else list(names.get_values_for_type(x509.UniformResourceIdentifier))
    if names is None or len(uris) != 1 or len(list(names)) != 1:
        return None
    try:
        return spiffe.parse(uris[0])
    except ValueError:
        return None


def _extension(leaf: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return leaf.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
