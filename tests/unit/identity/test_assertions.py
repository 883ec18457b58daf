from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.contract.errors import ErrorCode
from shared.contract.states import Role
from shared.domain.errors import ArcBridgeError
from shared.identity import assertions, bootstrap, roles
from shared.identity.certificates import spki

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
CLUSTER = "0190e0a0-0000-7000-8000-000000000001"
AUDIENCE = "https://arcbridge.example.org"
THUMBPRINT = "A" * 43
GOOD = {
    "iss": CLUSTER, "sub": CLUSTER, "aud": AUDIENCE, "iat": SECONDS, "exp": SECONDS + 300,
    "jti": "0190e0a0-aaaa-7000",
}  # fmt: skip
KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "RS256": rsa.generate_private_key(65537, 3072),
}


def signed(claims: Mapping[str, Any], algorithm: str = "ES256", key: Any = None) -> str:
    header = {"x5t#S256": THUMBPRINT}
    return jwt.encode(dict(claims), key or KEYS[algorithm], algorithm=algorithm, headers=header)


def verify(token: str, algorithm: str = "ES256") -> assertions.Assertion:
    return assertions.verify(
        token,
        public_key=spki(KEYS[algorithm].public_key()),
        cluster_id=CLUSTER,
        audience=AUDIENCE,
        now=NOW,
    )


@pytest.mark.parametrize("algorithm", list(KEYS))
def test_an_assertion_of_the_certificates_key_holds(algorithm: str) -> None:
    token = signed(GOOD, algorithm)
    assert assertions.peek(token) == THUMBPRINT
    assert verify(token, algorithm).jti == GOOD["jti"]


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "someone"},
        {"sub": "someone"},
        {"aud": "https://other.example.org"},
        {"aud": [AUDIENCE]},
        {"exp": SECONDS - 61},
        {"iat": SECONDS + 61, "exp": SECONDS + 200},
        {"exp": SECONDS + 301},
        {"exp": SECONDS},
        {"jti": "short"},
        {"jti": "x" * 65},
        {"jti": 7},
        {"iat": "now"},
    ],
    ids=str,
)
def test_claims_that_do_not_hold_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ArcBridgeError) as caught:
        verify(signed(GOOD | change))
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


@pytest.mark.parametrize("missing", list(GOOD))
def test_no_claim_may_be_missing(missing: str) -> None:
    with pytest.raises(ArcBridgeError):
        verify(signed({name: value for name, value in GOOD.items() if name != missing}))


def test_another_clusters_key_is_refused() -> None:
    with pytest.raises(ArcBridgeError):
        verify(signed(GOOD, key=ec.generate_private_key(ec.SECP256R1())))


def test_the_token_does_not_choose_its_algorithm() -> None:
    for token in (
        signed(GOOD, "RS256"),
        jwt.encode(GOOD, None, algorithm="none", headers={"x5t#S256": THUMBPRINT}),
        jwt.encode(GOOD, "s" * 64, algorithm="HS256", headers={"x5t#S256": THUMBPRINT}),
    ):
        with pytest.raises(ArcBridgeError):
            verify(token)


@pytest.mark.parametrize("thumbprint", [None, "", "x", 7, "A" * 44, "A" * 42 + "/", "' or 1=1"])
def test_a_token_that_names_no_certificate_is_refused(thumbprint: object) -> None:
    headers = {} if thumbprint is None else {"x5t#S256": thumbprint}
    token = jwt.encode(GOOD, KEYS["ES256"], algorithm="ES256", headers=headers)
    with pytest.raises(ArcBridgeError):
        assertions.peek(token)


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 5000])
def test_text_that_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ArcBridgeError):
        assertions.peek(token)


def test_a_bootstrap_token_reads_back_and_never_shows_its_secret() -> None:
    made = bootstrap.make("acme", UUID(CLUSTER), bytes(range(32)))
    assert bootstrap.parse(made.text) == made
    assert made.matches(made.sha256)
    assert not made.matches(bytes(32))
    assert made.secret not in repr(made)


@pytest.mark.parametrize(
    "text", ["", "abt_", "abt_acme.x.y", "abt_acme", "abt_ACME." + "0" * 32 + "." + "a" * 43]
)
def test_text_that_is_no_bootstrap_token_is_none(text: str) -> None:
    assert bootstrap.parse(text) is None


ALLOWED = {
    Role.READER: {Role.READER},
    Role.RESPONDER: {Role.READER, Role.RESPONDER},
    Role.OPERATOR: {Role.READER, Role.OPERATOR},
    Role.ADMIN: {Role.READER, Role.RESPONDER, Role.OPERATOR, Role.ADMIN},
    Role.PLATFORM_ADMIN: {Role.PLATFORM_ADMIN},
}


@pytest.mark.parametrize("held", list(Role))
@pytest.mark.parametrize("needed", list(Role))
def test_a_role_allows_what_it_includes_and_nothing_else(held: Role, needed: Role) -> None:
    assert roles.allows([held], needed) == (needed in ALLOWED[held])


def test_no_role_allows_nothing() -> None:
    assert not any(roles.allows([], needed) for needed in Role)


def test_unknown_role_names_and_groups_mean_nothing() -> None:
    found = roles.named(
        ["ArcBridge.Operator", "root", 7, "", "PLATFORM-ADMIN "], {"g": Role.READER}, ["g", "h", 1]
    )
    assert found == {Role.OPERATOR, Role.READER}
