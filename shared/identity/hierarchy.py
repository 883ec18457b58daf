"""The two certificates that a CA is made of: a root, and an issuing CA below it.

For the programs that make one, in development and on the operator's machine. The keys are theirs:
nothing is read, written or kept here.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from shared.identity import certificates
from shared.identity.certificates import ROOT_LIFETIME, SERIAL_BYTES
from shared.identity.issuer import signature_hash


def root_of(
    key: ec.EllipticCurvePrivateKey, *, common_name: str, now: datetime
) -> x509.Certificate:
    """A root's certificate, signed by itself."""
    return certificates.authority(
        key.public_key(),
        common_name=common_name,
        issuer=None,
        serial=_serial(),
        now=now,
        lifetime=ROOT_LIFETIME,
    ).sign(key, signature_hash(key))


def issuing_below(
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    public_key: ec.EllipticCurvePublicKey,
    *,
    common_name: str,
    now: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """The certificate of an issuing CA with this key, signed by the root."""
    return certificates.authority(
        public_key,
        common_name=common_name,
        issuer=root,
        serial=_serial(),
        now=now,
        lifetime=lifetime,
    ).sign(root_key, signature_hash(root_key))


def _serial() -> int:
    return certificates.serial_from(secrets.token_bytes(SERIAL_BYTES))
