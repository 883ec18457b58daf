"""Who is cut off is cut off on every replica: revoked clusters, and all of a suspended tenant's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import psycopg
import pytest

from relay.server import RelayServer
from relay.settings import RelaySettings
from shared.contract.reasons import ReasonCode
from shared.rpc.status import reason_in
from tests.integration.relay.agents import Credential, Link, dialled
from tests.integration.relay.conftest import relay_with, replaced
from tests.integration.relay.test_attacks import refusal, revoke

Enrol = Callable[[], Awaitable[Credential]]
WITHIN_SECONDS = 5.0


@pytest.fixture
async def relays(settings: RelaySettings) -> AsyncIterator[tuple[RelayServer, RelayServer]]:
    async with (
        relay_with(replaced(settings, relay_id="first")) as first,
        relay_with(replaced(settings, relay_id="second")) as second,
    ):
        yield first, second


@asynccontextmanager
async def one_on_each(
    relays: tuple[RelayServer, RelayServer], agents: list[Credential]
) -> AsyncIterator[list[Link]]:
    first, second = relays
    async with dialled(agents[0], first.port) as one, dialled(agents[1], second.port) as other:
        yield [one, other]


async def ends_with(links: list[Link], reason: ReasonCode) -> None:
    """All streams are told why they end, in time."""
    async with asyncio.timeout(WITHIN_SECONDS):
        endings = await asyncio.gather(*(link.end() for link in links))
    for said, code in endings:
        assert said[-1].notice.reason == reason
        assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_revocations_end_the_streams_on_every_replica(
    relays: tuple[RelayServer, RelayServer], enrolled: Enrol, owner_postgres_url: str
) -> None:
    agents = [await enrolled(), await enrolled()]
    async with one_on_each(relays, agents) as links:
        for agent in agents:
            revoke(owner_postgres_url, agent)
        await ends_with(links, ReasonCode.CERTIFICATE_REVOKED)


async def test_a_suspended_tenants_streams_end_everywhere_and_are_refused_until_it_is_resumed(
    relays: tuple[RelayServer, RelayServer], enrolled: Enrol, owner_postgres_url: str
) -> None:
    agents = [await enrolled(), await enrolled()]
    async with one_on_each(relays, agents) as links:
        become(owner_postgres_url, "Suspended")
        await ends_with(links, ReasonCode.TENANT_SUSPENDED)
    for relay, agent in zip(relays, agents, strict=True):
        refused = await refusal(agent, relay.port)
        assert reason_in(refused.trailing_metadata()) == ReasonCode.TENANT_SUSPENDED
    become(owner_postgres_url, "Active")
    async with one_on_each(relays, agents) as links:
        assert all(link.welcome is not None for link in links)


def become(owner_url: str, state: str) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute("update tenants set state = %s where tenant_id = 'demo'", [state])
