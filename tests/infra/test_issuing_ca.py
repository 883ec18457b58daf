"""Certifying the issuing key: what comes out is a chain that the Key Vault issuer takes."""

from __future__ import annotations

import base64
import importlib.util
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from dev.state import REPOSITORY

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSPHRASE = b"a passphrase that is long"


@pytest.fixture(scope="module")
def issuing_ca() -> ModuleType:
    """The hook, which is a program beside the packages."""
    path = REPOSITORY / "infra" / "hooks" / "issuing_ca.py"
    spec = importlib.util.spec_from_file_location("issuing_ca", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def jwk(key: ec.EllipticCurvePublicKey, curve: str = "P-256") -> dict[str, str]:
    """As `az keyvault key show` prints it."""
    numbers = key.public_numbers()
    x, y = (base64.urlsafe_b64encode(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
    return {"crv": curve, "x": x.decode().rstrip("="), "y": y.decode().rstrip("=")}


def test_the_chain_ends_at_the_root_and_certifies_the_vaults_key(
    issuing_ca: ModuleType, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public_key = issuing_ca.public_key_of(jwk(key.public_key()))
    issuing_ca.make_root(tmp_path, PASSPHRASE, NOW)
    chain = issuing_ca.certify(
        public_key, tmp_path, PASSPHRASE, now=NOW, lifetime=timedelta(days=180)
    )
    issuing, root = x509.load_pem_x509_certificates(chain.encode())
    issuing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert issuing.public_key() == key.public_key()
    assert issuing.not_valid_after_utc == NOW + timedelta(days=180)
    constraints = issuing.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)


def test_the_same_root_certifies_again(issuing_ca: ModuleType, tmp_path: Path) -> None:
    public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    roots = []
    for days in (0, 150):
        now = NOW + timedelta(days=days)
        issuing_ca.make_root(tmp_path, PASSPHRASE, now)
        chain = issuing_ca.certify(
            public_key, tmp_path, PASSPHRASE, now=now, lifetime=timedelta(days=180)
        )
        roots.append(x509.load_pem_x509_certificates(chain.encode())[1])
    assert roots[0] == roots[1]


def test_the_roots_key_is_sealed(issuing_ca: ModuleType, tmp_path: Path) -> None:
    issuing_ca.make_root(tmp_path, PASSPHRASE, NOW)
    file = tmp_path / "root.key"
    assert b"ENCRYPTED PRIVATE KEY" in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(ValueError, match=r"[Pp]assword|decrypt"):
        issuing_ca.certify(
            public_key, tmp_path, b"another passphrase", now=NOW, lifetime=timedelta(days=1)
        )


def test_another_curve_is_refused(issuing_ca: ModuleType) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(ValueError, match="P-256"):
        issuing_ca.public_key_of(jwk(key, "P-384"))
