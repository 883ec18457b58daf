"""The issuing CA of development: its key lies in a file that anyone with the disk can copy.

`python -m shared.identity.devca DIR` makes the folder. In production the key is in Key Vault.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.identity.certificates import LEAF_LIFETIME
from shared.identity.issuer import Authority, SigningIssuer, signature_hash

ROOTS = "roots.pem"
ISSUING_CERTIFICATE = "issuing.pem"
ISSUING_KEY = "issuing.key"


class FileIssuer(SigningIssuer):
    """Signs with a key read from a folder."""

    def __init__(
        self,
        directory: Path,
        *,
        leaf_lifetime: timedelta = LEAF_LIFETIME,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        super().__init__(
            Authority(
                issuing=x509.load_pem_x509_certificate(
                    (directory / ISSUING_CERTIFICATE).read_bytes()
                ),
                roots=tuple(x509.load_pem_x509_certificates((directory / ROOTS).read_bytes())),
            ),
            leaf_lifetime=leaf_lifetime,
            random=random,
        )
        key = serialization.load_pem_private_key(
            (directory / ISSUING_KEY).read_bytes(), password=None
        )
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{directory / ISSUING_KEY} is no elliptic curve key")  # noqa: TRY004 - the file's content is wrong, not an argument's type
        self._key = key

    async def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign in this process; a P-256 signature takes well under a millisecond."""
        return builder.sign(self._key, signature_hash(self._key))
