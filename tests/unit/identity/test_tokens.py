"""Access tokens: every forgery of the attack table, and how seldom keys are fetched."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.contract.errors import ErrorCode
from shared.contract.states import Role
from shared.domain.errors import ArcBridgeError
from shared.identity.jwks import KeySets
from shared.identity.oidc import OidcPolicy, TokenVerifier

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISSUER = "https://login.example.org/directory-1/v2.0"
KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
GOOD = {
    "iss": ISSUER, "aud": "api://arcbridge", "tid": "directory-1", "oid": "oid-1",
    "exp": SECONDS + 600, "nbf": SECONDS - 60, "iat": SECONDS - 60, "scp": "access",
    "roles": ["operator"],
}  # fmt: skip
POLICY = OidcPolicy(
    issuers=("https://login.example.org/{tid}/v2.0", "https://sts.example.org/{tid}/"),
    audiences=frozenset({"api://arcbridge"}),
    tenants={"directory-1": "acme"},
    groups={"group-1": Role.ADMIN},
)


def jwk(key: rsa.RSAPrivateKey, key_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return found | {"kid": key_id, "use": "sig"}


class Provider:
    """An identity provider that counts what it is asked."""

    def __init__(self) -> None:
        self.fetches = 0
        self.is_up = True
        self.seconds = 0.0
        self.keys = [jwk(KEY, "key-1")]

    async def fetch(self, url: str) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        if not self.is_up:
            raise OSError("the provider is down")
        issuer, slash, _ = url.partition("/.well-known/")
        if slash:
            exact = ISSUER if issuer in ISSUER else f"{issuer}/"
            return {"issuer": exact, "jwks_uri": f"{issuer}/keys"}
        self.fetches += 1
        return {"keys": self.keys}

    def verifier(self) -> TokenVerifier:
        return TokenVerifier(POLICY, KeySets(self.fetch, lambda: self.seconds), lambda: NOW)


@pytest.fixture
def provider() -> Provider:
    return Provider()


def signed(claims: Mapping[str, Any], key: Any = KEY, key_id: str = "key-1", **header: Any) -> str:
    return jwt.encode(dict(claims), key, algorithm="RS256", headers={"kid": key_id, **header})


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name not in names}


async def refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(ArcBridgeError) as caught:
        await verifier.verify(token)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


async def test_a_persons_token_gives_tenant_actor_and_roles(provider: Provider) -> None:
    found = await provider.verifier().verify(signed(GOOD | {"groups": ["group-1", "group-9"]}))
    assert (found.tenant, found.actor) == ("acme", "person:oid-1")
    assert found.roles == {Role.OPERATOR, Role.ADMIN}


async def test_a_services_token_needs_no_scope(provider: Provider) -> None:
    found = await provider.verifier().verify(signed(without("scp") | {"idtyp": "app"}))
    assert found.actor == "service:oid-1"


async def test_tokens_of_the_older_form_are_taken(provider: Provider) -> None:
    claims = GOOD | {"iss": "https://sts.example.org/directory-1/"}
    assert (await provider.verifier().verify(signed(claims))).tenant == "acme"


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(GOOD | {"aud": "api://other"}, id="wrong-aud"),
        pytest.param(GOOD | {"aud": ["api://arcbridge"]}, id="aud-list"),
        pytest.param(GOOD | {"iss": "https://evil.example/directory-1/v2.0"}, id="wrong-iss"),
        pytest.param(GOOD | {"tid": "directory-2"}, id="tid-not-allowed"),
        pytest.param(
            GOOD | {"iss": "https://login.example.org/directory-2/v2.0"}, id="iss-not-of-tid"
        ),
        pytest.param(GOOD | {"exp": SECONDS - 61}, id="expired"),
        pytest.param(GOOD | {"nbf": SECONDS + 61}, id="future-nbf"),
        pytest.param(GOOD | {"iat": SECONDS + 61}, id="future-iat"),
        pytest.param(GOOD | {"exp": "never"}, id="exp-text"),
        pytest.param(GOOD | {"exp": True}, id="exp-bool"),
        pytest.param(without("exp"), id="no-exp"),
        pytest.param(without("nbf"), id="no-nbf"),
        pytest.param(without("iat"), id="no-iat"),
        pytest.param(without("oid"), id="no-oid"),
        pytest.param(without("tid"), id="no-tid"),
        pytest.param(without("scp"), id="person-without-scp"),
        pytest.param(GOOD | {"scp": "other"}, id="other-scp"),
        pytest.param(GOOD | {"scp": ["access"]}, id="scp-list"),
        pytest.param(GOOD | {"oid": "a\nb"}, id="oid-with-line-break"),
        pytest.param(GOOD | {"oid": 7}, id="oid-number"),
    ],
)
async def test_claims_that_do_not_hold_are_refused(
    provider: Provider, claims: dict[str, Any]
) -> None:
    await refused(provider.verifier(), signed(claims))


async def test_times_have_sixty_seconds_of_leeway(provider: Provider) -> None:
    claims = GOOD | {"exp": SECONDS - 59, "nbf": SECONDS + 59, "iat": SECONDS + 59}
    assert await provider.verifier().verify(signed(claims))


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_no_algorithm_is_no_signature(provider: Provider) -> None:
    for algorithm in ("none", "None", "NONE"):
        header = {"alg": algorithm, "kid": "key-1", "typ": "JWT"}
        await refused(provider.verifier(), f"{segment(header)}.{segment(GOOD)}.")


async def test_the_public_key_is_no_shared_secret(provider: Provider) -> None:
    public = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    content = f"{segment({'alg': 'HS256', 'kid': 'key-1'})}.{segment(GOOD)}"
    mac = hmac.new(public, content.encode(), sha256).digest()
    forged = f"{content}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    await refused(provider.verifier(), forged)


async def test_another_key_and_a_key_in_the_header_are_not_believed(provider: Provider) -> None:
    await refused(provider.verifier(), signed(GOOD, OTHER_KEY))
    own = jwk(OTHER_KEY, "key-1")
    await refused(provider.verifier(), signed(GOOD, OTHER_KEY, jwk=own))
    await refused(provider.verifier(), signed(GOOD, OTHER_KEY, jku="https://evil.example/keys"))


async def test_other_rsa_algorithms_are_refused(provider: Provider) -> None:
    for algorithm in ("RS384", "RS512", "PS256"):
        token = jwt.encode(GOOD, KEY, algorithm=algorithm, headers={"kid": "key-1"})
        await refused(provider.verifier(), token)


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "....", "x" * 20_000, "é.é.é"])
async def test_text_that_is_no_token_is_refused(provider: Provider, token: str) -> None:
    await refused(provider.verifier(), token)
    assert provider.fetches == 0


async def test_a_foreign_issuer_is_never_asked_for_keys(provider: Provider) -> None:
    await refused(provider.verifier(), signed(GOOD | {"iss": "https://evil.example/"}))
    assert provider.fetches == 0


async def test_a_flood_of_unknown_key_ids_fetches_at_most_once_in_five_minutes(
    provider: Provider,
) -> None:
    verifier = provider.verifier()
    await verifier.verify(signed(GOOD))
    assert provider.fetches == 1
    for minute in range(10):
        provider.seconds = minute * 60.0
        await asyncio.gather(
            *(refused(verifier, signed(GOOD, OTHER_KEY, f"kid-{n}")) for n in range(40))
        )
    assert provider.fetches <= 2
    assert await verifier.verify(signed(GOOD))


async def test_callers_that_wait_at_once_share_one_fetch(provider: Provider) -> None:
    verifier = provider.verifier()
    await asyncio.gather(*(verifier.verify(signed(GOOD)) for _ in range(50)))
    assert provider.fetches == 1


async def test_a_new_key_is_found_when_it_is_first_used(provider: Provider) -> None:
    verifier = provider.verifier()
    await verifier.verify(signed(GOOD))
    provider.keys.append(jwk(OTHER_KEY, "key-2"))
    provider.seconds = 301.0
    assert await verifier.verify(signed(GOOD, OTHER_KEY, "key-2"))


async def test_good_keys_serve_for_a_day_while_the_provider_is_down(provider: Provider) -> None:
    verifier = provider.verifier()
    await verifier.verify(signed(GOOD))
    provider.is_up = False
    provider.seconds = 23 * 3600.0
    assert await verifier.verify(signed(GOOD))
    provider.seconds = 25 * 3600.0
    with pytest.raises(ArcBridgeError) as caught:
        await verifier.verify(signed(GOOD))
    assert caught.value.code is ErrorCode.UNAVAILABLE
    provider.is_up = True
    provider.seconds += 31.0
    assert await verifier.verify(signed(GOOD))


async def test_a_key_set_that_became_junk_does_not_replace_good_keys(provider: Provider) -> None:
    verifier = provider.verifier()
    await verifier.verify(signed(GOOD))
    for junk in ([], [{}], [{"kty": "RSA", "kid": "key-1", "n": "AQAB", "e": "AQAB"}], ["x"]):
        provider.keys = junk  # type: ignore[assignment] # what a broken provider sends
        provider.seconds += 3700.0
        assert await verifier.verify(signed(GOOD))
