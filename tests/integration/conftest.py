"""A control plane on real Postgres and Redis, with a clock that tests can move."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shared.identity import devca
from shared.identity.jwks import KeySets
from shared.identity.keyring import FileKeyring
from shared.identity.oidc import TokenVerifier
from shared.services.authority import CertificateAuthority
from shared.services.control_plane import ControlPlane, open_redis, policy
from shared.services.documents import DocumentSigner
from shared.services.rate_limit import RateLimiter
from shared.settings import Settings
from shared.store.database import Database

TENANTS = ("acme", "other")


@dataclass
class Clock:
    """The present, plus what the test has put ahead."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def ca_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A development CA."""
    directory = tmp_path_factory.mktemp("ca")
    devca.make(directory)
    return directory


@pytest.fixture
def settings(postgres_url: str, redis_url: str, ca_dir: Path) -> Settings:
    return Settings.from_environ(
        {
            "ARCBRIDGE_POSTGRES_URL": postgres_url,
            "ARCBRIDGE_REDIS_URL": redis_url,
            "ARCBRIDGE_CONTROL_PLANE_URL": "https://arcbridge.example.org",
            "ARCBRIDGE_RELAY_ADDRESS": "relay.example.org:8443",
            "ARCBRIDGE_OIDC_ISSUER": "https://login.example.org/{tid}/v2.0",
            "ARCBRIDGE_OIDC_AUDIENCE": "api://arcbridge",
            "ARCBRIDGE_OIDC_TENANTS": '{"directory-1": "acme", "directory-2": "other"}',
            "ARCBRIDGE_CA_DIR": str(ca_dir),
        }
    )


async def no_keys(url: str) -> Mapping[str, Any]:
    raise OSError(f"{url} is not reachable from here")


@asynccontextmanager
async def control_plane_of(settings: Settings, clock: Clock) -> AsyncIterator[ControlPlane]:
    redis = open_redis(settings.redis_url)
    try:
        async with Database.open(settings.postgres_url) as database:
            assert settings.ca_dir is not None
            ca = CertificateAuthority(
                database,
                FileKeyring(settings.ca_dir, leaf_lifetime=timedelta(days=7)),
                clock,
            )
            yield ControlPlane(
                settings=settings,
                db=database,
                redis=redis,
                clock=clock,
                ca=ca,
                documents=DocumentSigner(ca, settings.trust_domain, clock),
                tokens=TokenVerifier(policy(settings), KeySets(no_keys, lambda: 0.0), clock),
                limits=RateLimiter(redis),
            )
    finally:
        await redis.aclose()


@pytest.fixture
async def control_plane(
    owner_postgres_url: str, settings: Settings, clock: Clock
) -> AsyncIterator[ControlPlane]:
    """With the tenants `acme` and `other`, and nothing in them."""
    with psycopg.connect(owner_postgres_url) as connection:
        for tenant in TENANTS:
            connection.execute("insert into tenants (tenant_id) values (%s)", (tenant,))
    async with control_plane_of(settings, clock) as control_plane:
        yield control_plane
