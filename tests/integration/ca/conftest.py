from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from relay.server import RelayServer
from relay.settings import RelaySettings
from shared.contract.registration import RegisterResponse
from shared.contract.states import Role
from shared.identity import devca
from shared.services import ca_rotation
from shared.services.caller import Caller
from shared.services.cluster_key import ClusterKey
from shared.services.control_plane import ControlPlane
from shared.settings import Settings
from tests.integration.conftest import TENANTS, Clock, control_plane_of
from tests.integration.relay.agents import Credential, pem_of
from tests.integration.relay.conftest import relay_with
from tests.integration.services.joining import join, new_key, new_token

PLATFORM = Caller(actor="person:platform", tenant="acme", roles=frozenset({Role.PLATFORM_ADMIN}))


@pytest.fixture
def ca_dir(tmp_path: Path) -> Path:
    """A CA of the test's own: it is rotated."""
    devca.make(tmp_path / "ca")
    return tmp_path / "ca"


@dataclass
class Site:
    """A control plane and two relays."""

    cp: ControlPlane
    clock: Clock
    relays: tuple[RelayServer, RelayServer]

    async def enrol(self, name: str, token: str | None = None) -> Credential:
        """A cluster joins; it trusts what the pin covers, as agents do."""
        token = token or await new_token(self.cp, name=name)
        key = new_key()
        answer = await join(self.cp, name, token=token, key=key)
        return _credential(answer, pem_of(key))

    async def states(self) -> list[str]:
        """Of the generations that are trusted, oldest first."""
        return [each.state.value for each in (await self.cp.ca.trust()).generations]


def _credential(answer: RegisterResponse, private_key: bytes) -> Credential:
    return Credential(
        key=ClusterKey(answer.tenant, answer.cluster_id),
        serial=answer.serial,
        private_key=private_key,
        chain=answer.certificate_chain.encode(),
        roots=answer.ca_bundle.encode(),
        not_after=answer.not_after,
    )


@pytest.fixture
async def site(
    owner_postgres_url: str, settings: Settings, clock: Clock, postgres_url: str, redis_url: str
) -> AsyncIterator[Site]:
    with psycopg.connect(owner_postgres_url) as connection:
        for tenant in TENANTS:
            connection.execute("insert into tenants (tenant_id) values (%s)", (tenant,))
    async with AsyncExitStack() as stack:
        cp = await stack.enter_async_context(control_plane_of(settings, clock))
        relays = [
            await stack.enter_async_context(
                relay_with(
                    RelaySettings(
                        postgres_url=postgres_url,
                        redis_url=redis_url,
                        ca_dir=settings.ca_dir,
                        relay_port=0,
                        relay_http_port=0,
                        relay_id=name,
                        drain_seconds=0.5,
                        flush_seconds=0.1,
                        trust_seconds=0.1,
                    )
                )
            )
            for name in ("first", "second")
        ]
        yield Site(cp, clock, (relays[0], relays[1]))


async def rotated(site: Site) -> None:
    """One run of the timer."""
    await ca_rotation.sweep(site.cp)


def later(site: Site, **by: float) -> None:
    """Move the control plane's clock."""
    site.clock.ahead += timedelta(**by)
