"""The issuing CA of development: its key lies in a file that anyone with the disk can copy.

`python -m shared.identity.devca DIR` makes the folder, and with `--next` adds a generation to it.
All files of a generation carry its suffix, the first none, so that the folder is flat and fits into
a Kubernetes Secret. In production the key is in Key Vault.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.identity.certificates import LEAF_LIFETIME
from shared.identity.issuer import Authority, SigningIssuer, signature_hash

ROOTS = "roots.pem"
ISSUING_CERTIFICATE = "issuing.pem"
ISSUING_KEY = "issuing.key"
LEAF_LIFETIME_MIN = timedelta(minutes=1)
"""Shorter than elsewhere, so that a rotation can be watched."""


def named(name: str, suffix: str) -> str:
    """`issuing.pem` of the generation with suffix `-2` is `issuing-2.pem`."""
    stem, _, kind = name.rpartition(".")
    return f"{stem}{suffix}.{kind}"


def generations_in(directory: Path) -> list[tuple[str, Authority]]:
    """The whole generations of a folder with their suffixes, oldest first."""
    stem, _, kind = ISSUING_KEY.rpartition(".")
    suffixes = [path.stem.removeprefix(stem) for path in directory.glob(f"{stem}*.{kind}")]
    found = [(suffix, read_authority(directory, suffix)) for suffix in suffixes]
    return sorted(found, key=lambda each: (each[1].issuing.not_valid_before_utc, each[0]))


def read_authority(directory: Path, suffix: str = "") -> Authority:
    """The certificates of one generation."""
    issuing = (directory / named(ISSUING_CERTIFICATE, suffix)).read_bytes()
    roots = (directory / named(ROOTS, suffix)).read_bytes()
    return Authority(
        issuing=x509.load_pem_x509_certificate(issuing),
        roots=tuple(x509.load_pem_x509_certificates(roots)),
    )


class FileIssuer(SigningIssuer):
    """Signs with a key read from a folder."""

    leaf_lifetime_min: ClassVar[timedelta] = LEAF_LIFETIME_MIN

    def __init__(
        self,
        directory: Path,
        *,
        suffix: str = "",
        leaf_lifetime: timedelta = LEAF_LIFETIME,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        super().__init__(
            read_authority(directory, suffix), leaf_lifetime=leaf_lifetime, random=random
        )
        path = directory / named(ISSUING_KEY, suffix)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{path} is no elliptic curve key")  # noqa: TRY004 - the file's content is wrong, not an argument's type
        self._key = key

    async def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign in this process; a P-256 signature takes well under a millisecond."""
        return builder.sign(self._key, signature_hash(self._key))
