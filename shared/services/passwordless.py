"""Postgres and Redis without passwords: access tokens of the host's managed identity.

A URL with a user and no password means this. A token is asked for at each new connection; Azure's
library keeps it and renews it minutes before it expires. Postgres looks at it when a connection is
made, and the pool replaces connections before an hour is over. Redis closes a connection whose
token has expired; the client's retry then makes one with a new token.

azure-identity is imported when the first token is asked for: nobody else pays for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from redis.credentials import CredentialProvider

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

POSTGRES_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
REDIS_SCOPE = "https://redis.azure.com/.default"
TOKEN_SECONDS = 15.0

Password = Callable[[], Awaitable[str]]


class HostIdentity:
    """The identity that this process runs as in Azure."""

    def __init__(self, make: Callable[[], AsyncTokenCredential]) -> None:
        self._make = make
        self._credential: AsyncTokenCredential | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, make: Callable[[], AsyncTokenCredential] | None = None
    ) -> AsyncIterator[HostIdentity]:
        """The identity for the length of the block; nothing is asked of it before it is needed."""
        identity = cls(make or _default_credential)
        try:
            yield identity
        finally:
            if identity._credential is not None:
                await identity._credential.close()

    async def token(self, scope: str) -> str:
        """An access token that is good for some minutes at least. Raises OSError when none comes:
        to whoever connects, an identity that cannot be had is a server that cannot be reached."""
        from azure.core.exceptions import AzureError

        if self._credential is None:
            self._credential = self._make()
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                return (await self._credential.get_token(scope)).token
        except AzureError as error:
            raise OSError("no access token could be had for this host's identity") from error


def postgres_password(url: str, identity: HostIdentity) -> Password | None:
    """What gives the password for a database; None when the URL has one, or needs none."""
    parts = urlsplit(url)
    if parts.password is not None or not parts.username:
        return None

    async def password() -> str:
        return await identity.token(POSTGRES_SCOPE)

    return password


def redis_credentials(url: str, identity: HostIdentity) -> CredentialProvider | None:
    """What gives user and password for Redis; None when the URL has a password, or no user."""
    parts = urlsplit(url)
    if parts.password or not parts.username:
        return None
    return _RedisCredentials(unquote(parts.username), identity)


def without_user(url: str) -> str:
    """The URL without its user: the client takes either a user or a source of credentials."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class _RedisCredentials(CredentialProvider):
    def __init__(self, user: str, identity: HostIdentity) -> None:
        self._user = user
        self._identity = identity

    def get_credentials(self) -> tuple[str, str]:
        raise NotImplementedError("tokens are asked for without blocking")

    async def get_credentials_async(self) -> tuple[str, str]:
        return self._user, await self._identity.token(REDIS_SCOPE)


def _default_credential() -> AsyncTokenCredential:
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()
