"""Whom the agent trusts: the root that the installation pinned, and what that root vouches for.

The pin came with the manifest that an administrator applied; the registration's answer came over
the network. So the first bundle is cut down to what the pin covers: a root that someone slipped
in beside the real one is dropped. Later bundles arrive over mTLS and are taken as they are.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from agent.errors import AgentError

CHAIN_LENGTH_MAX = 6


class UntrustedControlPlane(AgentError):
    """The answer does not chain to the pinned root: someone else answered, or the pin is old."""


def read_certificates(pem: str) -> list[x509.Certificate]:
    """The certificates of a PEM text. Raises UntrustedControlPlane when there is none."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise UntrustedControlPlane("the answer holds no readable certificate") from error


def spki_pin(certificate: x509.Certificate) -> str:
    """`sha256:<hex>` of the certificate's SubjectPublicKeyInfo (RFC 7469 section 2.4)."""
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"sha256:{hashlib.sha256(spki).hexdigest()}"


def trusted_bundle(bundle_pem: str, pin: str) -> str:
    """The pinned root of a bundle, and the certificates in it that the root has signed; PEM.

    Raises UntrustedControlPlane when the pinned root is not in it.
    """
    certificates = read_certificates(bundle_pem)
    roots = [c for c in certificates if spki_pin(c) == pin and is_issued_by(c, c)]
    if not roots:
        found = ", ".join(spki_pin(c) for c in certificates)
        raise UntrustedControlPlane(
            f"the control plane's CA bundle does not hold the pinned root {pin} (it holds {found})"
        )
    vouched = [c for c in certificates if c not in roots and is_issued_by(c, roots[0])]
    return _pem([*roots, *vouched])


def check_leaf(chain_pem: str, bundle_pem: str, public_key_pem: bytes) -> x509.Certificate:
    """The leaf of a chain: of our own key, and signed up to a root of the bundle.

    Raises UntrustedControlPlane otherwise.
    """
    leaf, *others = read_certificates(chain_pem)
    if _public_pem(leaf) != public_key_pem:
        raise UntrustedControlPlane("the certificate is for another key than the agent's")
    roots = read_certificates(bundle_pem)
    certificate = leaf
    for _ in range(CHAIN_LENGTH_MAX):
        if any(is_issued_by(certificate, root) for root in roots):
            return leaf
        issuer = next((c for c in others if is_issued_by(certificate, c)), None)
        if issuer is None:
            break
        certificate = issuer
    raise UntrustedControlPlane("the certificate's chain does not end at a trusted root")


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer`'s key signed the certificate, and their names fit."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pem(certificates: list[x509.Certificate]) -> str:
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)


def _public_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
