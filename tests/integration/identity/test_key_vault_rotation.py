"""A rotation to a new version of the key in Key Vault, which signs only what it certifies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from azure.keyvault.keys.crypto import CryptographyClient
from cryptography import x509

from shared.contract.ca import CaRotateRequest
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity import devca
from shared.identity.file_issuer import FileIssuer
from shared.identity.issuer import Authority
from shared.identity.key_vault_issuer import KeyVaultIssuer
from shared.identity.keyring import KeyVaultKeyring, Offer
from shared.identity.trust import chain_of
from shared.services import ca
from shared.services.authority import CertificateAuthority
from shared.services.control_plane import ControlPlane
from tests.integration.identity.key_vault import KEY_PATH, NEXT_KEY_PATH, KeyVault
from tests.integration.identity.test_key_vault_issuer import Credential, file_issuer, vault
from tests.integration.services.joining import admin, join, new_token

__all__ = ["file_issuer", "vault"]


@pytest.fixture
def keyring(vault: KeyVault, file_issuer: FileIssuer, tmp_path: Path) -> Iterator[KeyVaultKeyring]:
    """On the vault's key; the settings name its first version."""

    def connect(key_id: str, authority: Authority) -> KeyVaultIssuer:
        client = CryptographyClient(
            key_id,
            Credential(),
            verify_challenge_resource=False,
            connection_verify=str(tmp_path / "roots.pem"),
            retry_total=0,
        )
        return KeyVaultIssuer(client, authority)

    ring = KeyVaultKeyring(Offer(file_issuer.authority, f"{vault.url}{KEY_PATH}"), connect)
    yield ring
    ring.close()


@pytest.fixture
def cp(control_plane: ControlPlane, keyring: KeyVaultKeyring) -> ControlPlane:
    authority = CertificateAuthority(control_plane.db, keyring, control_plane.clock)
    return replace(control_plane, ca=authority)


@pytest.fixture
def following(vault: KeyVault, tmp_path: Path) -> FileIssuer:
    """The next generation, whose key is the next version of the vault's."""
    found = FileIssuer(tmp_path / "ca", suffix=devca.make_next(tmp_path / "ca"))
    vault.keys[NEXT_KEY_PATH] = found._key
    return found


def leaf_of(pem_chain: str) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pem_chain.encode())[0]


async def test_the_next_version_of_the_key_issues_when_it_may(
    cp: ControlPlane, vault: KeyVault, file_issuer: FileIssuer, following: FileIssuer
) -> None:
    before = await join(cp, "eu-1", token=await new_token(cp))
    leaf_of(before.certificate_chain).verify_directly_issued_by(file_issuer.authority.issuing)
    request = CaRotateRequest(
        chain=chain_of(following.authority),
        key_id=f"{vault.url}{NEXT_KEY_PATH}",
        override_offline=True,
        reason="eu-1 never connected",
    )
    status = await ca.rotate(cp, admin(), request)
    assert [each.state for each in status.generations] == ["Issuing", "Retiring"]
    assert status.generations[0].overridden_by == admin().actor
    after = await join(cp, "us-1", token=await new_token(cp))
    leaf_of(after.certificate_chain).verify_directly_issued_by(following.authority.issuing)
    # The relays stay with the one that eu-1 knows.
    trust = await cp.ca.trust()
    assert trust.serving(cp.clock()).authority == file_issuer.authority


@pytest.mark.parametrize(
    "key_id",
    [
        "https://elsewhere.vault.azure.net/keys/issuing/1",
        "{url}/keys/another/1",
        "{url}" + KEY_PATH,
    ],
)
async def test_a_foreign_key_or_one_that_the_chain_does_not_certify_is_refused(
    cp: ControlPlane, vault: KeyVault, following: FileIssuer, key_id: str
) -> None:
    chain = chain_of(following.authority)
    request = CaRotateRequest(chain=chain, key_id=key_id.format(url=vault.url))
    with pytest.raises(ArcBridgeError) as caught:
        await ca.rotate(cp, admin(), request)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert len((await cp.ca.trust()).generations) == 1


async def test_without_a_chain_there_is_nothing_to_rotate_to(cp: ControlPlane) -> None:
    with pytest.raises(ArcBridgeError) as caught:
        await ca.rotate(cp, admin(), CaRotateRequest())
    assert caught.value.code is ErrorCode.CONFLICT
