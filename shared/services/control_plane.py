"""What the services stand on: settings, Postgres, Redis, clock, the CA and the token verifier.

Made once per worker and closed with it. Opening it does not need Postgres or Redis to answer: a
worker that starts while one of them is away serves as soon as it is back.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.contract.states import Role
from shared.identity.certificates import LEAF_LIFETIME_MIN
from shared.identity.jwks import KeySets
from shared.identity.keyring import FileKeyring, Keyring, KeyVaultKeyring, Offer
from shared.identity.oidc import OidcPolicy, TokenVerifier
from shared.identity.trust import authority_of
from shared.services.authority import CertificateAuthority
from shared.services.documents import DocumentSigner
from shared.services.key_fetching import KeyFetcher
from shared.services.passwordless import (
    HostIdentity,
    postgres_password,
    redis_credentials,
    without_user,
)
from shared.services.rate_limit import RateLimiter
from shared.settings import Settings, SettingsError
from shared.store.database import Database

REDIS_SECONDS = 2.0
PEM_START = "-----BEGIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """The resources of one worker."""

    settings: Settings
    db: Database
    redis: Redis
    clock: Callable[[], datetime]
    """The current time in UTC."""
    ca: CertificateAuthority
    documents: DocumentSigner
    tokens: TokenVerifier
    limits: RateLimiter

    @property
    def trust_domain(self) -> str:
        """Of the agents' certificates."""
        return self.settings.trust_domain

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[ControlPlane]:
        """The control plane for the length of the block."""
        async with AsyncExitStack() as stack:
            identity = await stack.enter_async_context(HostIdentity.open())
            redis = open_redis(settings.redis_url, identity)
            stack.push_async_callback(redis.aclose)
            fetcher = await stack.enter_async_context(KeyFetcher.open())
            db = await stack.enter_async_context(
                Database.open(
                    settings.postgres_url,
                    password=postgres_password(settings.postgres_url, identity),
                )
            )
            keyring = open_keyring(
                settings.ca_dir,
                settings.ca_key_id,
                settings.ca_chain,
                timedelta(hours=settings.certificate_hours),
                stack,
            )
            ca = CertificateAuthority(db, keyring, now)
            yield cls(
                settings=settings,
                db=db,
                redis=redis,
                clock=now,
                ca=ca,
                documents=DocumentSigner(ca, settings.trust_domain, now),
                tokens=TokenVerifier(policy(settings), KeySets(fetcher.fetch, time.monotonic), now),
                limits=RateLimiter(redis),
            )


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def open_redis(url: str, identity: HostIdentity | None = None) -> Redis:
    """A client whose every call ends within seconds; connects on first use.

    A URL with a user and no password is served with tokens of `identity`.
    """
    credentials = redis_credentials(url, identity) if identity else None
    return Redis.from_url(
        without_user(url) if credentials else url,
        credential_provider=credentials,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        health_check_interval=30,
        # Once more, for a connection that the server closed while it was idle (a token that ended).
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[RedisConnectionError],
        client_name="arcbridge",
    )


def open_keyring(
    directory: Path | None,
    key_id: str | None,
    chain: str | None,
    lifetime: timedelta,
    stack: AsyncExitStack,
) -> Keyring:
    """The CA that the settings name: a key in Key Vault, or a folder in development."""
    if key_id is not None and chain is not None:
        from shared.identity import key_vault_issuer

        if lifetime < LEAF_LIFETIME_MIN:
            raise SettingsError(["ARCBRIDGE_CERTIFICATE_HOURS must be 1 or more with Key Vault"])
        pem = chain if chain.startswith(PEM_START) else Path(chain).read_text()
        ring = KeyVaultKeyring(
            Offer(authority_of(pem), key_id),
            connect=lambda key_id, authority: key_vault_issuer.connect(
                key_id, authority, leaf_lifetime=lifetime
            ),
        )
        stack.callback(ring.close)
        return ring
    if directory is None:
        raise SettingsError(
            ["either ARCBRIDGE_CA_KEY_ID and ARCBRIDGE_CA_CHAIN, or ARCBRIDGE_CA_DIR must be set"]
        )
    return FileKeyring(directory, leaf_lifetime=lifetime)


def policy(settings: Settings) -> OidcPolicy:
    """Whom to believe; issuer and audience may each be several, separated by commas."""
    return OidcPolicy(
        issuers=_listed(settings.oidc_issuer),
        audiences=frozenset(_listed(settings.oidc_audience)),
        tenants=settings.oidc_tenants,
        groups={group: Role(role) for group, role in (settings.oidc_groups or {}).items()},
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
