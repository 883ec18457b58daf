"""Keys and certificate requests. A private key is made here and never leaves the cluster."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def new_key() -> str:
    """A fresh P-256 private key, PKCS#8 PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """Read what `new_key` wrote. Raises ValueError for anything else."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the agent's key is not an elliptic curve key")  # noqa: TRY004 - content
    return key


def certificate_request(key_pem: str, cluster_name: str) -> str:
    """A PKCS#10 request, PEM; the issuer takes its public key and nothing else from it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cluster_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = request.sign(load_key(key_pem), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()
