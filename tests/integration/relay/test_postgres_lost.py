"""Postgres is away: open streams live on, nobody new is admitted, nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from redis.asyncio import Redis

from dev.backends import PostgresServer
from dev.backends.postgres import StopMode
from dev.stack.database import prepare
from relay.settings import RelaySettings
from shared.identity.file_issuer import FileIssuer
from shared.services import heartbeats
from shared.services.cluster_key import ClusterKey
from tests.integration.relay.agents import Credential, add_cluster, dialled, issue, store
from tests.integration.relay.conftest import relay_with, replaced
from tests.integration.relay.test_attacks import refusal


async def enrolled(owner_url: str, issuer: FileIssuer) -> Credential:
    key = ClusterKey("demo", uuid4())
    add_cluster(owner_url, key.tenant, key.cluster_id)
    credential = await issue(issuer, key)
    store(owner_url, credential)
    return credential


async def test_streams_live_on_and_admission_resumes_when_it_is_back(
    settings: RelaySettings,
    private_postgres: PostgresServer,
    issuer: FileIssuer,
    tmp_path: Path,
    redis_url: str,
) -> None:
    app_url = await asyncio.to_thread(
        prepare,
        private_postgres.url(),
        create=True,
        password_path=tmp_path / "password",
        tenants=["demo"],
    )
    owner_url = private_postgres.url("arcbridge")
    here, late = await enrolled(owner_url, issuer), await enrolled(owner_url, issuer)
    changed = replaced(settings, postgres_url=app_url, admission_seconds=2.0)
    async with relay_with(changed) as relay, dialled(here, relay.port) as link:
        await private_postgres.stop(StopMode.IMMEDIATE)
        error = await refusal(late, relay.port)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        await link.beat(extensions=3)
        async with Redis.from_url(redis_url) as redis, asyncio.timeout(8):
            while not await redis.hlen(heartbeats.HASH):
                await asyncio.sleep(0.05)
        assert relay.registry.get(here.key) is not None
        await private_postgres.start()
        await admitted_again(late, relay.port)
        assert relay.registry.get(here.key) is not None


async def admitted_again(credential: Credential, port: int) -> None:
    """It comes back as an agent would."""
    for _ in range(5):
        try:
            async with dialled(credential, port):
                return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(0.5)
    pytest.fail("it was not admitted")
