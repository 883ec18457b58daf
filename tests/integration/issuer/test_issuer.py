"""The development issuer gives tokens to those who prove themselves, and to nobody else."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from dev.issuer.directory import Directory
from dev.issuer.grants import Codes, challenge
from dev.issuer.keys import SigningKeys
from dev.issuer.server import Issuer

BASE = "http://127.0.0.1:7072"
VERIFIER = "v" * 43
REDIRECT = "http://127.0.0.1:53211/callback"
CLI = "arcbridge-cli"
PIPELINE = "c0000000-0000-4000-8000-000000000002"
LIFETIME = timedelta(hours=1)


@dataclass
class World:
    """An issuer under test, its clock, and a client that follows no redirects."""

    issuer: Issuer
    http: httpx.AsyncClient
    now: list[datetime] = field(default_factory=list)

    @property
    def tid(self) -> str:
        return self.issuer.directory.tid_of("demo")

    def authorization(self, **changes: str) -> dict[str, str]:
        asked = {
            "client_id": CLI,
            "response_type": "code",
            "redirect_uri": REDIRECT,
            "scope": "openid api://arcbridge/access",
            "state": "s",
            "nonce": "n",
            "code_challenge": challenge(VERIFIER),
            "code_challenge_method": "S256",
            "username": "admin@demo",
            "password": self.issuer.directory.credential("admin@demo"),
        }
        return asked | changes

    async def authorize(self, **changes: str) -> httpx.Response:
        path = f"/{self.tid}/oauth2/v2.0/authorize"
        return await self.http.post(path, data=self.authorization(**changes))

    async def code(self, **changes: str) -> str:
        answer = await self.authorize(**changes)
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    async def redeem(self, code: str, /, **changes: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "client_id": CLI,
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        }
        return await self.http.post(f"/{self.tid}/oauth2/v2.0/token", data=form | changes)

    async def claims(self, token: str) -> dict[str, Any]:
        keys = (await self.http.get(f"/{self.tid}/discovery/v2.0/keys")).json()
        return jwt.decode(token, KeySet.import_key_set(keys), algorithms=["RS256"]).claims


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]

    def clock() -> datetime:
        return now[0]

    issuer = Issuer(
        base_url=BASE,
        directory=Directory.open(tmp_path / "credentials.json"),
        keys=SigningKeys(tmp_path / "keys.json", token_lifetime=LIFETIME, clock=clock),
        codes=Codes(),
        token_lifetime=LIFETIME,
        clock=clock,
    )
    transport = httpx.ASGITransport(issuer.application())
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield World(issuer, client, now)


async def test_a_person_gets_an_access_token_shaped_like_entra_ids(world: World) -> None:
    answer = await world.redeem(await world.code())
    assert answer.headers["cache-control"] == "no-store"
    claims = await world.claims(answer.json()["access_token"])
    issued = int(world.now[0].timestamp())
    assert claims["iss"] == f"{BASE}/{world.tid}/v2.0"
    assert claims["aud"] == world.issuer.directory.seed.application.id
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (issued, issued, issued + 3600)
    assert (claims["tid"], claims["ver"], claims["scp"]) == (world.tid, "2.0", "access")
    assert claims["roles"] == ["admin"]
    assert claims["oid"] == "10000000-0000-4000-8000-000000000004"
    assert claims["sub"] != claims["oid"]
    assert "idtyp" not in claims


async def test_the_id_token_names_the_client_and_carries_the_nonce(world: World) -> None:
    answer = (await world.redeem(await world.code())).json()
    identity = await world.claims(answer["id_token"])
    assert (identity["aud"], identity["nonce"]) == (CLI, "n")


async def test_discovery_leads_to_every_endpoint(world: World) -> None:
    path = f"/{world.tid}/v2.0/.well-known/openid-configuration"
    discovered = (await world.http.get(path)).json()
    assert discovered["issuer"] == f"{BASE}/{world.tid}/v2.0"
    assert (await world.http.get(discovered["jwks_uri"])).json()["keys"]
    query = {k: v for k, v in world.authorization().items() if k not in {"username", "password"}}
    form = await world.http.get(discovered["authorization_endpoint"], params=query)
    assert form.status_code == 200
    assert 'name="code_challenge"' in form.text
    assert (await world.http.post(discovered["token_endpoint"])).status_code == 400


async def test_an_unknown_directory_does_not_exist(world: World) -> None:
    answer = await world.http.get("/33333333-3333-4333-8333-333333333333/discovery/v2.0/keys")
    assert answer.status_code == 404


@pytest.mark.parametrize("changes", [{"password": "guess"}, {"username": "admin@other"}])
async def test_a_wrong_password_or_a_stranger_gets_no_code(
    world: World, changes: dict[str, str]
) -> None:
    answer = await world.authorize(**changes)
    assert answer.status_code == 401
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "api://something-else/access"}, "invalid_scope"),
    ],
)
async def test_a_request_against_the_rules_goes_back_with_an_error(
    world: World, changes: dict[str, str], error: str
) -> None:
    answer = await world.authorize(**changes)
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (query["error"], query["state"]) == ([error], ["s"])
    assert "code" not in query


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://evil.example.org/"},
        {"redirect_uri": "http://127.0.0.1.evil.example.org/"},
        {"client_id": "unknown"},
    ],
)
async def test_nothing_is_sent_to_an_address_that_is_not_the_programs(
    world: World, changes: dict[str, str]
) -> None:
    answer = await world.authorize(**changes)
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43},
        {"redirect_uri": "http://127.0.0.1:1/"},
        {"client_id": PIPELINE},
        {"code": "guess"},
    ],
)
async def test_a_code_works_only_for_whom_it_was_made(
    world: World, changes: dict[str, str]
) -> None:
    answer = await world.redeem(await world.code(), **changes)
    assert answer.json()["error"] in {"invalid_grant", "invalid_client"}


async def test_a_code_works_once(world: World) -> None:
    code = await world.code()
    assert (await world.redeem(code)).status_code == 200
    assert (await world.redeem(code)).json()["error"] == "invalid_grant"


async def test_a_code_expires_after_five_minutes(world: World) -> None:
    code = await world.code()
    world.now[0] += timedelta(minutes=5, seconds=1)
    assert (await world.redeem(code)).json()["error"] == "invalid_grant"


async def service_token(world: World, send: Callable[[str], dict[str, Any]]) -> httpx.Response:
    secret = world.issuer.directory.credential("pipeline")
    return await world.http.post(f"/{world.tid}/oauth2/v2.0/token", **send(secret))


GRANT = {"grant_type": "client_credentials", "scope": "api://arcbridge/.default"}


async def test_a_service_gets_a_token_with_roles_and_without_scp(world: World) -> None:
    answer = await service_token(
        world, lambda secret: {"data": GRANT | {"client_id": PIPELINE, "client_secret": secret}}
    )
    claims = await world.claims(answer.json()["access_token"])
    assert (claims["idtyp"], claims["roles"]) == ("app", ["operator"])
    assert claims["sub"] == claims["oid"]
    assert "scp" not in claims


async def test_a_service_may_prove_itself_by_http_basic(world: World) -> None:
    answer = await service_token(world, lambda secret: {"data": GRANT, "auth": (PIPELINE, secret)})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "send",
    [
        lambda secret: {"data": GRANT | {"client_id": PIPELINE, "client_secret": secret + "x"}},
        lambda secret: {"data": GRANT | {"client_id": CLI, "client_secret": secret}},
        lambda secret: {"data": GRANT | {"client_id": PIPELINE}},
        lambda secret: {
            "data": GRANT,
            "headers": {"Authorization": "Basic " + base64.b64encode(b"\xff:x").decode()},
        },
        lambda secret: {"data": GRANT, "headers": {"Authorization": "Basic %%%"}},
    ],
)
async def test_a_service_without_its_secret_gets_nothing(
    world: World, send: Callable[[str], dict[str, Any]]
) -> None:
    answer = await service_token(world, send)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_service_has_no_token_in_another_directory(world: World) -> None:
    secret = world.issuer.directory.credential("pipeline")
    other = world.issuer.directory.tid_of("other")
    form = GRANT | {"client_id": PIPELINE, "client_secret": secret}
    answer = await world.http.post(f"/{other}/oauth2/v2.0/token", data=form)
    assert answer.json()["error"] == "invalid_client"


async def test_markup_in_a_request_is_shown_as_text(world: World) -> None:
    query = world.authorization(state='"><script>x</script>', password="", username="")
    answer = await world.http.get(f"/{world.tid}/oauth2/v2.0/authorize", params=query)
    assert "<script>" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_an_oversized_form_is_refused(world: World) -> None:
    assert (await world.authorize(padding="x" * 20_000)).status_code == 413


async def test_after_a_rotation_old_tokens_verify_until_they_have_expired(world: World) -> None:
    token = (await world.redeem(await world.code())).json()["access_token"]
    world.issuer.keys.rotate()
    world.now[0] += timedelta(minutes=59)
    world.issuer.keys.rotate()
    assert (await world.claims(token))["tid"] == world.tid
    world.now[0] += timedelta(minutes=2)
    world.issuer.keys.rotate()
    with pytest.raises(JoseError):
        await world.claims(token)


def test_passwords_and_keys_survive_a_restart_and_are_private(tmp_path: Path) -> None:
    def clock() -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    paths = (tmp_path / "credentials.json", tmp_path / "keys.json")
    first = Directory.open(paths[0]).credential("admin@demo")
    keys = SigningKeys(paths[1], token_lifetime=LIFETIME, clock=clock).public()
    assert Directory.open(paths[0]).credential("admin@demo") == first
    assert SigningKeys(paths[1], token_lifetime=LIFETIME, clock=clock).public() == keys
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o600, 0o600]
    assert all("d" not in key for key in keys["keys"])
