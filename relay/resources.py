"""What one relay process owns: Postgres, Redis, the CA and a clock.

Like the control plane's, but without what only serves people's requests. Opening needs neither
server to answer: a relay that starts while one of them is away serves as soon as it is back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from relay.settings import RelaySettings
from shared.identity.issuer import CertificateIssuer
from shared.settings import SettingsError
from shared.store.database import Database, Limits

REDIS_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Resources:
    """Made once per process."""

    db: Database
    redis: Redis
    issuer: CertificateIssuer
    clock: Callable[[], datetime]
    """The current time in UTC."""
    trust_domain: str

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: RelaySettings) -> AsyncIterator[Resources]:
        """The resources for the length of the block."""
        async with AsyncExitStack() as stack:
            redis = Redis.from_url(
                settings.redis_url,
                socket_timeout=REDIS_SECONDS,
                socket_connect_timeout=REDIS_SECONDS,
                client_name="arcbridge-relay",
            )
            stack.push_async_callback(redis.aclose)
            database = Database.open(
                settings.postgres_url, limits=Limits(max_connections=8), name="arcbridge-relay"
            )
            yield cls(
                db=await stack.enter_async_context(database),
                redis=redis,
                issuer=_open_issuer(settings, stack),
                clock=lambda: datetime.now(UTC),
                trust_domain=settings.trust_domain,
            )


def _open_issuer(settings: RelaySettings, stack: AsyncExitStack) -> CertificateIssuer:
    lifetime = timedelta(hours=settings.certificate_hours)
    if settings.ca_key_id is not None and settings.ca_chain is not None:
        from shared.identity import key_vault_issuer

        issuer = key_vault_issuer.connect(
            settings.ca_key_id, settings.ca_chain.read_bytes(), leaf_lifetime=lifetime
        )
        stack.callback(issuer.close)
        return issuer
    if settings.ca_dir is None:
        raise SettingsError(
            ["either ARCBRIDGE_CA_KEY_ID and ARCBRIDGE_CA_CHAIN, or ARCBRIDGE_CA_DIR must be set"]
        )
    from shared.identity.file_issuer import FileIssuer

    return FileIssuer(settings.ca_dir, leaf_lifetime=lifetime)
