"""Makes a CA for development: `python -m shared.identity.devca DIR`.

A root and an issuing CA, both P-256. The root's key is dropped at once: nothing needs it again, a
new generation with a root of its own is made with one command (`--next`), for `arcbridge ca rotate`
to take up. A folder that holds a CA already is otherwise left as it is.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.identity import certificates
from shared.identity.certificates import ISSUING_LIFETIME
from shared.identity.file_issuer import ISSUING_CERTIFICATE, ISSUING_KEY, ROOTS, named
from shared.identity.hierarchy import issuing_below, root_of


def make(
    directory: Path, *, now: datetime | None = None, lifetime: timedelta = ISSUING_LIFETIME
) -> bool:
    """Make a CA in `directory`; False when there is one already."""
    if (directory / ISSUING_KEY).exists():
        return False
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _make(directory, "", now or datetime.now(UTC), lifetime)
    return True


def make_next(
    directory: Path, *, now: datetime | None = None, lifetime: timedelta = ISSUING_LIFETIME
) -> str:
    """Make another generation beside those of `directory`; its files' suffix."""
    suffix = f"-{secrets.token_hex(4)}"
    _make(directory, suffix, now or datetime.now(UTC), lifetime)
    return suffix


def _make(directory: Path, suffix: str, now: datetime, lifetime: timedelta) -> None:
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = root_of(root_key, common_name="ArcBridge development root", now=now)
    key = ec.generate_private_key(ec.SECP256R1())
    issuing = issuing_below(
        root,
        root_key,
        key.public_key(),
        common_name="ArcBridge development issuing CA",
        now=now,
        lifetime=lifetime,
    )
    (directory / named(ROOTS, suffix)).write_text(certificates.certificate_pem(root))
    (directory / named(ISSUING_CERTIFICATE, suffix)).write_text(
        certificates.certificate_pem(issuing)
    )
    # Last, and by a rename: a generation with a key is a whole one.
    _write_key(directory / named(ISSUING_KEY, suffix), key)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    partial.rename(path)


def main(arguments: list[str] | None = None) -> int:
    """Make it, and say where."""
    parser = argparse.ArgumentParser(prog="python -m shared.identity.devca", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--next", action="store_true", help="add a generation to the CA")
    options = parser.parse_args(arguments)
    directory: Path = options.directory
    made = make(directory)
    if made or not options.next:
        said = "made a CA in" if made else "there is a CA already in"
    else:
        make_next(directory)
        said = "added a generation to the CA in"
    sys.stdout.write(f"{said} {directory}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
