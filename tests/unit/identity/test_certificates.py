"""Requests, leaves and peers: every way a certificate can be wrong is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity import certificates, csr, devca
from shared.identity.file_issuer import FileIssuer
from shared.identity.issuer import Authority
from shared.identity.peer import PeerFlaw, PeerRefusedError, check_peer
from shared.identity.spiffe import SpiffeId, parse

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLUSTER = UUID("0190e0a0-0000-7000-8000-000000000001")
ID = SpiffeId("arcbridge.local", "acme", CLUSTER)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> FileIssuer:
    directory = tmp_path_factory.mktemp("ca")
    assert devca.make(directory, now=NOW - timedelta(days=1))
    return FileIssuer(directory)


@pytest.fixture(scope="module")
def rsa_3072() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


def request_of(key: Any, algorithm: Any = hashes.SHA256()) -> x509.CertificateSigningRequest:  # noqa: B008 - a constant
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, algorithm)


def pem(request: x509.CertificateSigningRequest) -> str:
    return request.public_bytes(serialization.Encoding.PEM).decode()


def refusal(text: str) -> ArcBridgeError:
    with pytest.raises(ArcBridgeError) as caught:
        csr.public_key_of(text)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    return caught.value


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda c: c.name)
def test_the_curves_of_the_policy_are_taken(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    found = csr.public_key_of(pem(request_of(key)))
    assert certificates.spki(found) == certificates.spki(key.public_key())


def test_rsa_with_3072_bits_is_taken(rsa_3072: rsa.RSAPrivateKey) -> None:
    assert csr.public_key_of(pem(request_of(rsa_3072)))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(rsa.generate_private_key(65537, 1024), id="rsa-1024"),  # noqa: S505 - what must be refused
        pytest.param(rsa.generate_private_key(3, 3072), id="rsa-exponent-3"),
        pytest.param(ec.generate_private_key(ec.SECP192R1()), id="p-192"),
        pytest.param(ec.generate_private_key(ec.SECP224R1()), id="p-224"),
        pytest.param(ec.generate_private_key(ec.SECP256K1()), id="secp256k1"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="ed25519"),
    ],
)
def test_other_keys_are_refused(key: Any) -> None:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    refusal(pem(request_of(key, algorithm)))


def test_a_broken_signature_is_refused() -> None:
    request = request_of(ec.generate_private_key(ec.SECP256R1()))
    der = bytearray(request.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    broken = x509.load_der_x509_csr(bytes(der))
    refusal(pem(broken))


def test_a_request_signed_by_another_key_is_refused() -> None:
    """Someone else's public key cannot be certified without its private key."""
    ours = request_of(ec.generate_private_key(ec.SECP256R1())).public_bytes(
        serialization.Encoding.DER
    )
    theirs = request_of(ec.generate_private_key(ec.SECP256R1()))
    key = certificates.spki(theirs.public_key())  # type: ignore[arg-type] # made above
    start = ours.find(key[:26])
    forged = ours[:start] + key + ours[start + len(key) :]
    refusal(pem(x509.load_der_x509_csr(forged)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junk",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
        "A" * 1_000_000,
        "\ud800",
    ],
    ids=["empty", "junk", "no-der", "one-megabyte", "surrogate"],
)
def test_text_that_is_no_request_is_refused(text: str) -> None:
    refusal(text)


async def test_a_leaf_has_the_profile_and_lasts_seven_days(issuer: FileIssuer) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issued = await issuer.issue_agent(key.public_key(), spiffe_id=ID, now=NOW)
    leaf = x509.load_pem_x509_certificate(issued.pem_chain.encode())
    assert leaf.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert leaf.not_valid_after_utc == NOW + timedelta(days=7)
    get = leaf.extensions.get_extension_for_class
    assert not get(x509.BasicConstraints).value.ca
    assert get(x509.BasicConstraints).critical
    assert get(x509.KeyUsage).value.digital_signature
    assert not get(x509.KeyUsage).value.key_cert_sign
    assert list(get(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert [name.value for name in get(x509.SubjectAlternativeName).value] == [str(ID)]
    assert issued.pem_chain.count("BEGIN CERTIFICATE") == 2
    assert issued.serial == f"{leaf.serial_number:x}"


async def test_serials_are_random_positive_and_short_enough(issuer: FileIssuer) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    serials = {(await issuer.issue_agent(key, spiffe_id=ID, now=NOW)).serial for _ in range(20)}
    assert len(serials) == 20
    assert all(0 < int(serial, 16) < 2**159 for serial in serials)


async def test_a_leaf_does_not_outlive_its_issuer(issuer: FileIssuer) -> None:
    ends = issuer.authority.issuing.not_valid_after_utc
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    issued = await issuer.issue_agent(key, spiffe_id=ID, now=ends - timedelta(days=1))
    assert issued.not_after == ends
    with pytest.raises(ArcBridgeError) as caught:
        await issuer.issue_agent(key, spiffe_id=ID, now=ends)
    assert caught.value.code is ErrorCode.UNAVAILABLE


def test_a_lifetime_out_of_bounds_is_refused(tmp_path: Path) -> None:
    devca.make(tmp_path)
    for lifetime in (timedelta(seconds=59), timedelta(days=31)):
        with pytest.raises(ValueError, match="between 0:01:00 and 30 days"):
            FileIssuer(tmp_path, leaf_lifetime=lifetime)


def test_making_a_ca_twice_keeps_the_first(tmp_path: Path) -> None:
    assert devca.main([str(tmp_path)]) == 0
    before = (tmp_path / "issuing.key").read_bytes()
    assert devca.main([str(tmp_path)]) == 0
    assert (tmp_path / "issuing.key").read_bytes() == before
    assert (tmp_path / "issuing.key").stat().st_mode & 0o077 == 0


def flaw(leaf: x509.Certificate, authority: Authority, now: datetime = NOW) -> PeerFlaw:
    text = certificates.certificate_pem(leaf).encode()
    with pytest.raises(PeerRefusedError) as caught:
        check_peer(text, authorities=(authority,), trust_domain="arcbridge.local", now=now)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    return caught.value.flaw


class Forge:
    """Signs with our issuing key what our issuer would never build."""

    def __init__(self, issuer: FileIssuer) -> None:
        self._issuer = issuer

    def sign(
        self, *extensions: x509.ExtensionType, signer: ec.EllipticCurvePrivateKey | None = None
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._issuer.authority.issuing.subject)
            .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
            .serial_number(7)
            .not_valid_before(NOW - timedelta(hours=1))
            .not_valid_after(NOW + timedelta(hours=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(signer or self._issuer._key, hashes.SHA256())


CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


def names(*uris: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])


def test_each_flaw_of_a_peer_is_found(issuer: FileIssuer) -> None:
    forge, authority = Forge(issuer), issuer.authority
    assert forge.sign(CLIENT, names(str(ID)))
    cases = {
        PeerFlaw.NOT_FOR_CLIENTS: [
            forge.sign(names(str(ID))),
            forge.sign(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), names(str(ID))),
            forge.sign(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
                names(str(ID)),
            ),
        ],
        PeerFlaw.IS_CA: [
            forge.sign(x509.BasicConstraints(ca=True, path_length=None), CLIENT, names(str(ID)))
        ],
        PeerFlaw.NO_IDENTITY: [
            forge.sign(CLIENT),
            forge.sign(CLIENT, names(str(ID), str(ID).replace("acme", "other"))),
            forge.sign(CLIENT, names("spiffe://evil.example/tenant/acme/cluster/" + str(CLUSTER))),
            forge.sign(CLIENT, names("https://arcbridge.local/tenant/acme")),
            forge.sign(CLIENT, x509.SubjectAlternativeName([x509.DNSName("acme")])),
        ],
        PeerFlaw.FOREIGN_CA: [
            forge.sign(CLIENT, names(str(ID)), signer=ec.generate_private_key(ec.SECP256R1()))
        ],
    }
    for expected, leaves in cases.items():
        for leaf in leaves:
            assert flaw(leaf, authority) is expected


def test_time_is_judged(issuer: FileIssuer) -> None:
    leaf = Forge(issuer).sign(CLIENT, names(str(ID)))
    day = timedelta(days=1)
    assert flaw(leaf, issuer.authority, NOW - day) is PeerFlaw.NOT_YET_VALID
    assert flaw(leaf, issuer.authority, NOW + day) is PeerFlaw.EXPIRED


def test_junk_is_unreadable(issuer: FileIssuer) -> None:
    with pytest.raises(PeerRefusedError) as caught:
        check_peer(b"junk", authorities=(issuer.authority,), trust_domain="x", now=NOW)
    assert caught.value.flaw is PeerFlaw.UNREADABLE


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://arcbridge.local/tenant/acme/cluster/" + str(CLUSTER).upper(),
        "spiffe://arcbridge.local/tenant/acme/cluster/" + str(CLUSTER) + "/",
        "spiffe://arcbridge.local/tenant/acme/cluster/" + str(CLUSTER) + "\n",
        "spiffe://arcbridge.local/tenant/../cluster/" + str(CLUSTER),
        "spiffe:///tenant/acme/cluster/" + str(CLUSTER),
        "spiffe://arcbridge.local/tenant//cluster/" + str(CLUSTER),
    ],
)
def test_a_uri_that_is_not_exactly_one_clusters_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="not the URI"):
        parse(uri)
