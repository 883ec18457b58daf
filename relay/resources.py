"""What one relay process owns: Postgres, Redis, the CA and a clock.

Like the control plane's, but without what only serves people's requests. Opening needs neither
server to answer: a relay that starts while one of them is away serves as soon as it is back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis.asyncio import Redis

from relay.settings import RelaySettings
from shared.services.authority import CertificateAuthority
from shared.services.control_plane import now, open_keyring, open_redis
from shared.services.passwordless import HostIdentity, postgres_password
from shared.services.rate_limit import RateLimiter
from shared.store.database import Database, Limits


@dataclass(frozen=True, slots=True)
class Resources:
    """Made once per process."""

    db: Database
    redis: Redis
    ca: CertificateAuthority
    limits: RateLimiter
    clock: Callable[[], datetime]
    """The current time in UTC."""
    trust_domain: str

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: RelaySettings) -> AsyncIterator[Resources]:
        """The resources for the length of the block."""
        async with AsyncExitStack() as stack:
            identity = await stack.enter_async_context(HostIdentity.open())
            redis = open_redis(settings.redis_url, identity)
            stack.push_async_callback(redis.aclose)
            db = await stack.enter_async_context(
                Database.open(
                    settings.postgres_url,
                    password=postgres_password(settings.postgres_url, identity),
                    limits=Limits(max_connections=8),
                    name="arcbridge-relay",
                )
            )
            keyring = open_keyring(
                settings.ca_dir,
                settings.ca_key_id,
                settings.ca_chain,
                timedelta(hours=settings.certificate_hours),
                stack,
            )
            yield cls(
                db=db,
                redis=redis,
                ca=CertificateAuthority(db, keyring, now),
                limits=RateLimiter(redis),
                clock=now,
                trust_domain=settings.trust_domain,
            )
