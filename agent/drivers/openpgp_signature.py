"""Checks OpenPGP signatures, as Git makes them. Pure, but for the clock that tells a key's life.

Sequoia does it (RFC 9580), under its standard policy: SHA-1 and other weak algorithms, keys that
had ended or were revoked, and keys that are not for signing are refused. It is loaded where such a
signature is checked, in the program that unpacks a commit, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable

import pysequoia

from agent.drivers.ssh_signature import SignatureRefused

BEGIN = "-----BEGIN PGP SIGNATURE-----"


def check_signature(armored: str, message: bytes, *, keys: Iterable[str]) -> str:
    """Return if `armored` is a detached signature of `message` by one of `keys` (armored public
    keys, each a certificate with its subkeys).

    Gives the certificate's fingerprint, hexadecimal. Raises SignatureRefused.
    """
    trusted = [_certificate(key) for key in keys]
    try:
        signature = pysequoia.Sig.from_bytes(armored.encode())
    except (RuntimeError, ValueError) as error:
        raise SignatureRefused("its OpenPGP signature is not readable") from error
    try:
        found = pysequoia.verify(message, store=lambda _: trusted, signature=signature)
    except (RuntimeError, ValueError) as error:
        raise SignatureRefused(
            f"its OpenPGP signature (by {signature.issuer_fingerprint or 'an unnamed key'}) is by"
            " none of the pgpKeys, not of this content, or not one that is accepted"
        ) from error
    if not found.valid_sigs:
        raise SignatureRefused("it has no valid OpenPGP signature")
    return str(found.valid_sigs[0].certificate)


def _certificate(armored: str) -> pysequoia.Cert:
    try:
        return pysequoia.Cert.from_bytes(armored.encode())
    except (RuntimeError, ValueError) as error:
        raise SignatureRefused("one of the pgpKeys is not readable") from error
