"""What ArcBridge's certificates look like (RFC 5280); every field is chosen here.

Pure: the public key, the names, the serial and the time come in, an unsigned builder comes out.
Nothing of a request ever reaches a certificate but its public key.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.contract.signature import signer_uri
from shared.identity.spiffe import SpiffeId

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

BACKDATED = timedelta(minutes=5)
"""So that a clock a little behind ours accepts a fresh certificate; a tenth of a short life."""
LEAF_LIFETIME = timedelta(days=7)
LEAF_LIFETIME_MIN = timedelta(hours=1)
LEAF_LIFETIME_MAX = timedelta(days=30)
ISSUING_LIFETIME = timedelta(days=180)
ROOT_LIFETIME = timedelta(days=3650)
SERIAL_BYTES = 16

_KEY_USAGE_LEAF = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
    encipher_only=False, decipher_only=False,
)  # fmt: skip
_KEY_USAGE_CA = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
    encipher_only=False, decipher_only=False,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A leaf, as it is stored and handed out."""

    serial: str
    """Lower case hexadecimal, without leading zeros."""
    sha256: str
    """Base64url of the DER's SHA-256, unpadded: `x5t#S256` of RFC 7515."""
    public_key: bytes
    """SubjectPublicKeyInfo, DER."""
    pem_chain: str
    """PEM, leaf first, then the issuing CA."""
    not_before: datetime
    not_after: datetime


def agent_leaf(
    public_key: PublicKey,
    *,
    spiffe_id: SpiffeId,
    issuer: x509.Certificate,
    serial: int,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    """A cluster's client certificate. It never outlives its issuer."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(spiffe_id))]
    return _leaf(
        public_key,
        common_name=str(spiffe_id.cluster_id),
        names=names,
        usage=ExtendedKeyUsageOID.CLIENT_AUTH,
        issuer=issuer,
        serial=serial,
        now=now,
        lifetime=lifetime,
    )


def server_leaf(
    public_key: PublicKey,
    *,
    host_names: tuple[str, ...],
    issuer: x509.Certificate,
    serial: int,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    """The relay's server certificate. `host_names` are DNS names and IP addresses, at least one."""
    if not host_names:
        raise ValueError("a server certificate needs a host name")
    return _leaf(
        public_key,
        common_name=host_names[0][:64],
        names=[_host(name) for name in host_names],
        usage=ExtendedKeyUsageOID.SERVER_AUTH,
        issuer=issuer,
        serial=serial,
        now=now,
        lifetime=lifetime,
    )


def signer_leaf(
    public_key: PublicKey,
    *,
    trust_domain: str,
    issuer: x509.Certificate,
    serial: int,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    """The certificate of who signs desired documents: good for no connection of any kind."""
    return _leaf(
        public_key,
        common_name="documents",
        names=[x509.UniformResourceIdentifier(signer_uri(trust_domain))],
        usage=ExtendedKeyUsageOID.CODE_SIGNING,
        issuer=issuer,
        serial=serial,
        now=now,
        lifetime=lifetime,
    )


def authority(
    public_key: PublicKey,
    *,
    common_name: str,
    issuer: x509.Certificate | None,
    serial: int,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    """A CA's certificate: a root (`issuer` None) may sign one issuing CA below it, no deeper."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = _base(public_key, subject, issuer, serial, now, lifetime)
    depth = 1 if issuer is None else 0
    return builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=depth), critical=True
    ).add_extension(_KEY_USAGE_CA, critical=True)


def describe(leaf: x509.Certificate, chain: tuple[x509.Certificate, ...]) -> IssuedCertificate:
    """A signed leaf and its chain in the form that is stored."""
    pems = (certificate_pem(certificate) for certificate in (leaf, *chain))
    return IssuedCertificate(
        serial=f"{leaf.serial_number:x}",
        sha256=thumbprint(leaf),
        public_key=spki(leaf.public_key()),  # type: ignore[arg-type] # of a key that we allowed
        pem_chain="".join(pems),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def certificate_pem(certificate: x509.Certificate) -> str:
    """PEM of one certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def spki(public_key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo, DER."""
    return public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def thumbprint(certificate: x509.Certificate) -> str:
    """`x5t#S256` (RFC 7515, 4.1.8)."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def pin(certificate: x509.Certificate) -> str:
    """`sha256:<hex>` of the SubjectPublicKeyInfo (the content of an RFC 7469 pin)."""
    key: PublicKey = certificate.public_key()  # type: ignore[assignment] # EC or RSA by our policy
    return f"sha256:{hashlib.sha256(spki(key)).hexdigest()}"


def serial_from(random_bytes: bytes) -> int:
    """A positive serial of 127 random bits (RFC 5280, 4.1.2.2). Raises ValueError for too few."""
    if len(random_bytes) != SERIAL_BYTES:
        raise ValueError(f"a serial takes {SERIAL_BYTES} random bytes")
    return (int.from_bytes(random_bytes, "big") >> 1) | 1 << 126


def _leaf(
    public_key: PublicKey,
    *,
    common_name: str,
    names: list[x509.GeneralName],
    usage: x509.ObjectIdentifier,
    issuer: x509.Certificate,
    serial: int,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    return (
        _base(public_key, subject, issuer, serial, now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_KEY_USAGE_LEAF, critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )


def _base(
    public_key: PublicKey,
    subject: x509.Name,
    issuer: x509.Certificate | None,
    serial: int,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    now = now.astimezone(UTC).replace(microsecond=0)
    ends = now + lifetime
    if issuer is not None:
        ends = min(ends, issuer.not_valid_after_utc)
        if ends <= now:
            raise ValueError("the issuing certificate has ended")
    issuer_key = public_key if issuer is None else issuer.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(now - min(BACKDATED, lifetime / 10))
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key),  # type: ignore[arg-type] # EC or RSA by our policy
            critical=False,
        )
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
