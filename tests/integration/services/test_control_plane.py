"""Opening and closing what a worker stands on."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity import devca
from shared.identity.key_vault_issuer import KeyVaultIssuer
from shared.services import health
from shared.services.control_plane import ControlPlane, open_keyring, policy
from shared.settings import Settings, SettingsError

KEY_ID = "https://vault.example.org/keys/issuing/0123456789abcdef0123456789abcdef"


async def test_a_worker_opens_and_serves(settings: Settings) -> None:
    async with ControlPlane.open(settings) as cp:
        assert (await health.ready(cp)).ready


async def test_a_worker_opens_while_its_servers_are_away(settings: Settings) -> None:
    away = dataclasses.replace(
        settings,
        postgres_url="postgresql://a:b@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
    )
    async with ControlPlane.open(away) as cp:
        found = await health.ready(cp)
        assert (found.ready, found.postgres, found.redis) == (False, False, False)
        with pytest.raises(ArcBridgeError) as caught:
            await cp.db.ping()
    assert caught.value.code is ErrorCode.UNAVAILABLE


async def test_the_key_vault_ca_is_chosen_with_its_chain_as_text_or_file(tmp_path: Path) -> None:
    devca.make(tmp_path)
    pem = (tmp_path / "issuing.pem").read_text() + (tmp_path / "roots.pem").read_text()
    (tmp_path / "chain.pem").write_text(pem)
    for chain in (pem, str(tmp_path / "chain.pem")):
        async with AsyncExitStack() as stack:
            ring = open_keyring(None, KEY_ID, chain, timedelta(days=7), stack)
            (offer,) = ring.offers()
            assert isinstance(ring.issuer(offer), KeyVaultIssuer)
            assert (offer.key_id, len(offer.authority.roots)) == (KEY_ID, 1)


async def test_without_a_ca_nothing_starts() -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match="ARCBRIDGE_CA_KEY_ID"):
            open_keyring(None, None, None, timedelta(days=7), stack)


def test_several_issuers_and_audiences_may_be_named(settings: Settings) -> None:
    both = dataclasses.replace(
        settings,
        oidc_issuer="https://sts.example.org/{tid}/, https://login.example.org/{tid}/v2.0",
        oidc_audience="api://arcbridge,0190e0a0",
        oidc_groups={"group": "operator"},
    )
    found = policy(both)
    assert len(found.issuers) == 2
    assert found.audiences == {"api://arcbridge", "0190e0a0"}
    assert found.groups == {"group": "operator"}
