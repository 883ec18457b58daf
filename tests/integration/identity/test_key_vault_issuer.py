from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.keyvault.keys.crypto import CryptographyClient
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity import devca, key_vault_issuer
from shared.identity.file_issuer import FileIssuer
from shared.identity.key_vault_issuer import KeyVaultIssuer
from shared.identity.peer import check_peer
from shared.identity.spiffe import SpiffeId
from tests.integration.identity.key_vault import KEY_PATH, TOKEN, KeyVault, serving

ID = SpiffeId("arcbridge.local", "acme", UUID("0190e0a0-0000-7000-8000-000000000001"))


class Credential:
    """An identity that has its token already."""

    def get_token(self, *scopes: str, **kwargs: object) -> AccessToken:
        return AccessToken(TOKEN, int(time.time()) + 3600)

    def get_token_info(self, *scopes: str, options: object = None) -> AccessTokenInfo:
        return AccessTokenInfo(TOKEN, int(time.time()) + 3600)


@pytest.fixture
def file_issuer(tmp_path: Path) -> FileIssuer:
    devca.make(tmp_path / "ca")
    return FileIssuer(tmp_path / "ca")


@pytest.fixture
def vault(file_issuer: FileIssuer, tmp_path: Path) -> Iterator[KeyVault]:
    """A vault that holds the issuing CA's key, behind a certificate of the same CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = asyncio.run(
        file_issuer.issue_server(key.public_key(), host_names=("localhost",), now=datetime.now(UTC))
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "server.pem").write_bytes(private + issued.pem_chain.encode())
    (tmp_path / "roots.pem").write_text(file_issuer.authority.bundle)
    vault = KeyVault(file_issuer._key)
    with serving(vault, tmp_path / "server.pem"):
        yield vault


@pytest.fixture
def issuer(vault: KeyVault, file_issuer: FileIssuer, tmp_path: Path) -> Iterator[KeyVaultIssuer]:
    client = CryptographyClient(
        f"{vault.url}{KEY_PATH}",
        Credential(),
        verify_challenge_resource=False,
        connection_verify=str(tmp_path / "roots.pem"),
        retry_total=0,
    )
    issuer = KeyVaultIssuer(client, file_issuer.authority)
    try:
        yield issuer
    finally:
        issuer.close()


def new_key() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


async def test_a_certificate_signed_in_the_vault_is_one_of_the_ca(
    issuer: KeyVaultIssuer, vault: KeyVault
) -> None:
    now = datetime.now(UTC)
    issued = await asyncio.gather(
        *(issuer.issue_agent(new_key(), spiffe_id=ID, now=now) for _ in range(12))
    )
    for each in issued:
        peer = check_peer(
            each.pem_chain.encode(),
            authorities=(issuer.authority,),
            trust_domain="arcbridge.local",
            now=now,
        )
        assert peer.cluster_id == ID.cluster_id
    assert vault.signatures == 12
    leaf = x509.load_pem_x509_certificate(issued[0].pem_chain.encode())
    leaf.verify_directly_issued_by(issuer.authority.issuing)


@pytest.mark.parametrize("status", [403, 429, 500, 503])
async def test_a_vault_that_refuses_means_later_not_never(
    issuer: KeyVaultIssuer, vault: KeyVault, status: int
) -> None:
    vault.status = status
    with pytest.raises(ArcBridgeError) as caught:
        await issuer.issue_agent(new_key(), spiffe_id=ID, now=datetime.now(UTC))
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert caught.value.retry_after
    vault.status = 200
    assert await issuer.issue_agent(new_key(), spiffe_id=ID, now=datetime.now(UTC))


async def test_a_vault_that_hangs_is_left_waiting(
    issuer: KeyVaultIssuer, vault: KeyVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_vault_issuer, "SIGN_SECONDS", 0.3)
    vault.delay_seconds = 1.0
    started = time.monotonic()
    with pytest.raises(ArcBridgeError) as caught:
        await issuer.issue_agent(new_key(), spiffe_id=ID, now=datetime.now(UTC))
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert time.monotonic() - started < 0.9


def test_the_key_does_nothing_but_sign(issuer: KeyVaultIssuer) -> None:
    with pytest.raises(NotImplementedError, match="does not leave"):
        issuer._key.private_numbers()
