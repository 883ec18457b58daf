"""Decides whether a desired document is the control plane's, and not an older one. Pure.

TLS vouches for the connection, which may end in a proxy or a gateway; the signature vouches for the
document, by the same roots that the agent's own certificate chains to.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from agent.api.client import UnusableDocument
from agent.credentials.identity import Identity
from agent.credentials.trust import UntrustedControlPlane, is_issued_by, read_certificates
from shared.contract.desired import DesiredDocument
from shared.contract.signature import DocumentSignature, signed_bytes, signer_uri

SKEW_ALLOWED = timedelta(hours=1)
"""The agent's clock may be wrong by this much; it is told to set it long before."""
_CHAIN_LENGTH_MAX = 4


@dataclass(frozen=True)
class Signers:
    """Whose documents count."""

    roots: tuple[x509.Certificate, ...]
    uri: str

    @classmethod
    def of(cls, identity: Identity) -> Signers:
        """Those that the roots vouch for, in the trust domain of the agent's own certificate."""
        [own] = _uris(identity.leaf) or [""]
        domain = own.removeprefix("spiffe://").partition("/")[0]
        return cls(tuple(read_certificates(identity.bundle_pem)), signer_uri(domain))


def check_signed(
    document: DesiredDocument, newest: datetime | None, signers: Signers, now: datetime
) -> None:
    """Return if the document may be acted on. Raises UnusableDocument that says why not.

    `newest` is when the newest document was signed that was in force here. `now` must not come from
    whoever handed the document over: a certificate that has ended would be good again.
    """
    signature = document.signature
    if signature is None:
        raise UnusableDocument("it is not signed")
    leaf = _trusted_leaf(signature, signers)
    if not leaf.not_valid_before_utc <= signature.signed_at <= leaf.not_valid_after_utc:
        raise UnusableDocument("it was signed outside the life of the signer's certificate")
    if now > leaf.not_valid_after_utc + SKEW_ALLOWED:
        raise UnusableDocument("the signer's certificate has ended")
    if signature.signed_at > now + SKEW_ALLOWED:
        raise UnusableDocument("it is signed for a time that is yet to come")
    _check_value(document, signature, leaf)
    if newest is not None and signature.signed_at < newest:
        raise UnusableDocument(
            f"it is older ({signature.signed_at.isoformat()}) than the one that is held "
            f"({newest.isoformat()})"
        )


def _trusted_leaf(signature: DocumentSignature, signers: Signers) -> x509.Certificate:
    """The signer's certificate, vouched for by a root, for signing documents and nothing else."""
    try:
        leaf, *others = read_certificates(signature.certificate_chain)
    except UntrustedControlPlane as error:
        raise UnusableDocument("the signer's certificate is not readable") from error
    if _uris(leaf) != [signers.uri] or _is_authority(leaf):
        raise UnusableDocument("its signer is not one that signs documents")
    certificate = leaf
    for _ in range(_CHAIN_LENGTH_MAX):
        if any(is_issued_by(certificate, root) for root in signers.roots):
            return leaf
        # Only an authority vouches for others: a cluster's own certificate chains to a root, too.
        able = (c for c in others if _is_authority(c) and is_issued_by(certificate, c))
        issuer = next(able, None)
        if issuer is None:
            break
        certificate = issuer
    raise UnusableDocument("its signer's certificate does not chain to a root that is trusted")


def _check_value(
    document: DesiredDocument, signature: DocumentSignature, leaf: x509.Certificate
) -> None:
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UnusableDocument("its signer's key is of another kind than is used")
    text = signed_bytes(document.digest, signature.signed_at)
    try:
        key.verify(base64.b64decode(signature.value), text, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise UnusableDocument("its signature is not of this document") from error


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return list(names.get_values_for_type(x509.UniformResourceIdentifier))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.value.ca
