"""Only what the control plane signed for this purpose, and no older than what is held, counts."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from agent.api.client import UnusableDocument
from agent.credentials.identity import Identity
from agent.desired.signature import SKEW_ALLOWED, Signers, check_signed
from shared.contract.desired import DesiredDocument, DesiredExtension, DesiredState
from shared.contract.signature import DocumentSignature, signed_bytes
from shared.identity import certificates
from shared.identity.documents import DocumentKey, new_document_key
from shared.identity.file_issuer import FileIssuer
from shared.identity.spiffe import SpiffeId

NOW = datetime.now(UTC)
DOMAIN = "arcbridge.local"


def document(revision: int = 1) -> DesiredDocument:
    tombstone = DesiredExtension(
        name="web",
        state=DesiredState.ABSENT,
        revision=revision,
        spec_digest="sha256:" + "0" * 64,
        generation=revision,
        rollout_id=uuid.UUID(int=revision),
    )
    return DesiredDocument.build("demo", uuid.UUID(int=1), (tombstone,))


async def key_of(issuer: FileIssuer, domain: str = DOMAIN) -> DocumentKey:
    return await new_document_key(issuer, trust_domain=domain, now=NOW)


@pytest.fixture
def signers(identity: Identity) -> Signers:
    return Signers.of(identity)


def refused(found: DesiredDocument, signers: Signers, **given: Any) -> str:
    with pytest.raises(UnusableDocument) as caught:
        check_signed(found, given.get("newest"), signers, given.get("now", NOW))
    return str(caught.value)


async def test_what_the_control_plane_signed_counts(issuer: FileIssuer, signers: Signers) -> None:
    key = await key_of(issuer)
    held = key.signed(document(), NOW)
    check_signed(held, None, signers, NOW)
    check_signed(held, NOW, signers, NOW)
    check_signed(key.signed(document(2), NOW + timedelta(seconds=1)), NOW, signers, NOW)
    parsed = DesiredDocument.model_validate(held.to_wire())
    check_signed(parsed, None, signers, NOW)


async def test_a_document_without_a_signature_or_with_another_s_is_refused(
    issuer: FileIssuer, signers: Signers
) -> None:
    key = await key_of(issuer)
    assert "not signed" in refused(document(), signers)
    other = key.signed(document(2), NOW).signature
    moved = document().model_copy(update={"signature": other})
    assert "not of this document" in refused(moved, signers)
    signed = key.signed(document(), NOW)
    assert signed.signature is not None
    later = signed.signature.model_copy(update={"signed_at": NOW + timedelta(seconds=1)})
    assert "not of this document" in refused(
        signed.model_copy(update={"signature": later}), signers
    )


async def test_an_older_document_is_refused_even_if_it_was_good_once(
    issuer: FileIssuer, signers: Signers
) -> None:
    key = await key_of(issuer)
    old = key.signed(document(1), NOW)
    assert "it is older" in refused(old, signers, newest=NOW + timedelta(seconds=9))


async def test_a_signer_has_to_be_alive(issuer: FileIssuer, signers: Signers) -> None:
    key = await key_of(issuer)
    signed = key.signed(document(), NOW)
    after = key.not_after + SKEW_ALLOWED + timedelta(seconds=1)
    assert "has ended" in refused(signed, signers, now=after)
    check_signed(signed, None, signers, key.not_after)
    backdated = key.signed(document(), key.not_before - timedelta(seconds=1))
    assert "outside the life" in refused(backdated, signers)
    ahead = key.signed(document(), NOW + SKEW_ALLOWED + timedelta(minutes=1))
    assert "yet to come" in refused(ahead, signers)


async def test_no_other_authority_and_no_other_name_will_do(
    issuer: FileIssuer, other_issuer: FileIssuer, signers: Signers
) -> None:
    foreign = await key_of(other_issuer)
    assert "does not chain" in refused(foreign.signed(document(), NOW), signers)
    elsewhere = await key_of(issuer, "other.example")
    assert "not one that signs" in refused(elsewhere.signed(document(), NOW), signers)


def signed_with(key: ec.EllipticCurvePrivateKey, chain: str) -> DesiredDocument:
    value = key.sign(signed_bytes(document().digest, NOW), ec.ECDSA(hashes.SHA256()))
    signature = DocumentSignature(
        signed_at=NOW, certificate_chain=chain, value=base64.b64encode(value).decode()
    )
    return document().model_copy(update={"signature": signature})


async def test_a_cluster_cannot_sign_nor_make_a_signer(
    issuer: FileIssuer, signers: Signers
) -> None:
    """Its certificate chains to the same root, so name and authority are what counts."""
    stolen = ec.generate_private_key(ec.SECP256R1())
    own = await issuer.issue_agent(
        stolen.public_key(), spiffe_id=SpiffeId(DOMAIN, "demo", uuid.UUID(int=1)), now=NOW
    )
    assert "not one that signs" in refused(signed_with(stolen, own.pem_chain), signers)
    server = await issuer.issue_server(stolen.public_key(), host_names=("relay",), now=NOW)
    assert "not one that signs" in refused(signed_with(stolen, server.pem_chain), signers)
    forged = certificates.signer_leaf(
        stolen.public_key(),
        trust_domain=DOMAIN,
        issuer=certificate_of(own.pem_chain),
        serial=1,
        now=NOW,
        lifetime=timedelta(hours=1),
    ).sign(stolen, hashes.SHA256())
    chain = certificates.certificate_pem(forged) + own.pem_chain
    assert "does not chain" in refused(signed_with(stolen, chain), signers)


async def test_what_is_no_certificate_is_refused(issuer: FileIssuer, signers: Signers) -> None:
    signed = (await key_of(issuer)).signed(document(), NOW)
    assert signed.signature is not None
    for chain in ("", "junk", Path(__file__).read_text()[:200]):
        wrong = signed.signature.model_copy(update={"certificate_chain": chain})
        assert "not readable" in refused(signed.model_copy(update={"signature": wrong}), signers)


def certificate_of(chain: str) -> Any:
    from cryptography import x509

    return x509.load_pem_x509_certificate(chain.encode())
