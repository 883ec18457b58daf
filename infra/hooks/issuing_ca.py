"""Certifies the issuing key of a Key Vault with an offline root, and keeps the chain for azd.

    python infra/hooks/issuing_ca.py --vault NAME --root DIRECTORY [--days 180] [--out FILE]

The root's key is made at the first run, sealed with a passphrase (ARCBRIDGE_ROOT_PASSPHRASE, or
asked for), and belongs on a medium that is kept offline: agents trust what it signs for ten years.
The issuing key stays in Key Vault; only its public half is read. Before the issuing certificate
ends, make a new version of the key and run this again with --out: the chain goes to that file, for
`arcbridge ca rotate`. A root that is there is never replaced.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.identity import certificates
from shared.identity.certificates import ISSUING_LIFETIME
from shared.identity.hierarchy import issuing_below, root_of

KEY_NAME = "issuing"
CHAIN_VARIABLE = "ARCBRIDGE_CA_CHAIN_BASE64"
COMMAND_SECONDS = 120
MIN_PASSPHRASE = 16


def public_key_of(jwk: dict[str, str]) -> ec.EllipticCurvePublicKey:
    """A P-256 key out of what Key Vault answers (RFC 7518, 6.2.1). Raises ValueError for others."""
    if jwk.get("crv") != "P-256":
        raise ValueError("the issuing key is not of P-256")
    x, y = (int.from_bytes(_coordinate(jwk[name]), "big") for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def make_root(directory: Path, passphrase: bytes, now: datetime) -> None:
    """A root in `directory`, its key sealed; does nothing when there is one."""
    if (directory / "root.key").exists():
        return
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    root = root_of(key, common_name="ArcBridge root", now=now)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )
    (directory / "root.pem").write_text(certificates.certificate_pem(root))
    # The key last: a folder with a key is a whole one.
    descriptor = os.open(directory / "root.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(sealed)


def certify(
    public_key: ec.EllipticCurvePublicKey,
    directory: Path,
    passphrase: bytes,
    *,
    now: datetime,
    lifetime: timedelta,
) -> str:
    """The chain that the control plane needs: the issuing certificate, then the root; PEM.

    Raises ValueError when the passphrase is not the root's.
    """
    root = x509.load_pem_x509_certificate((directory / "root.pem").read_bytes())
    key = serialization.load_pem_private_key((directory / "root.key").read_bytes(), passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the root's key is not of an elliptic curve")  # noqa: TRY004 - a file's content
    issuing = issuing_below(
        root, key, public_key, common_name="ArcBridge issuing CA", now=now, lifetime=lifetime
    )
    return certificates.certificate_pem(issuing) + certificates.certificate_pem(root)


def main(arguments: list[str] | None = None) -> int:
    """0 when the chain is in azd's environment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vault", required=True, help="the vault's name")
    parser.add_argument("--root", required=True, type=Path, help="folder with the root")
    parser.add_argument("--days", type=int, default=ISSUING_LIFETIME.days)
    parser.add_argument("--out", type=Path, help="write the chain there, not to azd")
    chosen = parser.parse_args(arguments)
    passphrase = _passphrase()
    now = datetime.now(UTC)
    answer = _run(
        "az", "keyvault", "key", "show", "--vault-name", chosen.vault, "--name", KEY_NAME,
        "--output", "json",
    )  # fmt: skip
    jwk = json.loads(answer)["key"]
    public_key = public_key_of(jwk)
    make_root(chosen.root, passphrase, now)
    lifetime = timedelta(days=chosen.days)
    chain = certify(public_key, chosen.root, passphrase, now=now, lifetime=lifetime)
    if chosen.out is not None:
        chosen.out.write_text(chain)
        sys.stdout.write(f"arcbridge ca rotate --chain {chosen.out} --key-id {jwk['kid']}\n")
    else:
        _run("azd", "env", "set", CHAIN_VARIABLE, base64.b64encode(chain.encode()).decode())
    sys.stdout.write(f"certified for {chosen.days} days; keep {chosen.root} offline from now on\n")
    return 0


def _coordinate(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _passphrase() -> bytes:
    text = os.environ.get("ARCBRIDGE_ROOT_PASSPHRASE") or getpass.getpass(
        "Passphrase of the root: "
    )
    if len(text) < MIN_PASSPHRASE:
        raise SystemExit(f"the root's passphrase needs {MIN_PASSPHRASE} characters")
    return text.encode()


def _run(*command: str) -> str:
    return subprocess.run(  # noqa: S603 - a fixed command, its arguments apart
        command, check=True, capture_output=True, text=True, timeout=COMMAND_SECONDS
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
