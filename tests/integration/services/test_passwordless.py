from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from redis import Redis

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.services.control_plane import open_redis
from shared.services.passwordless import (
    POSTGRES_SCOPE,
    REDIS_SCOPE,
    HostIdentity,
    postgres_password,
    redis_credentials,
)
from shared.store.database import Database, Limits
from tests.conftest import APP_LOGIN, APP_PASSWORD

TOKEN = "an-access-token-of-the-identity-provider"


class Credential:
    """Gives a token for each scope, as azure-identity would."""

    def __init__(self) -> None:
        self.tokens = {POSTGRES_SCOPE: APP_PASSWORD, REDIS_SCOPE: TOKEN}
        self.asked: list[str] = []
        self.closed = False

    async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        self.asked += scopes
        if not self.tokens:
            raise ClientAuthenticationError("no identity")
        return AccessToken(self.tokens[scopes[0]], int(time.time()) + 3600)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def credential() -> Credential:
    return Credential()


@pytest.fixture
async def identity(credential: Credential) -> AsyncIterator[HostIdentity]:
    async with HostIdentity.open(lambda: credential) as identity:  # type: ignore[arg-type,return-value] # the part of it that is used
        yield identity
    assert credential.closed == bool(credential.asked)


async def test_postgres_is_reached_with_a_token(
    postgres_url: str, identity: HostIdentity, credential: Credential
) -> None:
    url = postgres_url.replace(f":{APP_PASSWORD}@", "@")
    password = postgres_password(url, identity)
    async with Database.open(url, password=password) as database:
        await database.ping()
    assert set(credential.asked) == {POSTGRES_SCOPE}


async def test_without_an_identity_the_database_is_unavailable(
    postgres_url: str, identity: HostIdentity, credential: Credential
) -> None:
    credential.tokens.clear()
    url = postgres_url.replace(f":{APP_PASSWORD}@", "@")
    limits = Limits(connect_seconds=0.5)
    async with Database.open(url, password=postgres_password(url, identity), limits=limits) as db:
        with pytest.raises(ArcBridgeError) as caught:
            await db.ping()
    assert caught.value.code is ErrorCode.UNAVAILABLE


async def test_redis_is_reached_with_a_token_and_again_with_a_new_one(
    redis_url: str, identity: HostIdentity, credential: Credential
) -> None:
    with Redis.from_url(redis_url) as owner:
        owner.acl_setuser(
            "arcbridge-app", enabled=True, passwords=[f"+{TOKEN}"], categories=["+@all"], keys=["*"]
        )
        try:
            client = open_redis(f"redis://arcbridge-app@{address(redis_url)}/0", identity)
            assert await client.ping()
            credential.tokens[REDIS_SCOPE] = "renewed"
            owner.acl_setuser("arcbridge-app", enabled=True, passwords=["+renewed", f"-{TOKEN}"])
            owner.client_kill_filter(_type="normal", user="arcbridge-app")
            assert await client.ping()
            await client.aclose()
        finally:
            owner.acl_deluser("arcbridge-app")
    assert len(credential.asked) == 2


async def test_a_url_with_a_password_asks_for_nothing(
    identity: HostIdentity, credential: Credential
) -> None:
    assert postgres_password(f"postgresql://{APP_LOGIN}:x@db/arcbridge", identity) is None
    assert redis_credentials("redis://:x@cache:6379/0", identity) is None
    assert redis_credentials("redis://cache:6379/0", identity) is None
    assert credential.asked == []


def address(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def test_the_login_of_the_tests_has_a_password(postgres_url: str) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres_url.replace(APP_PASSWORD, "wrong"), connect_timeout=5)
