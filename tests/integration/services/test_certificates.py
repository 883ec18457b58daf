"""Renewal, first sight, revocation, and an agent's calls with its certificate's key."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from typing import Any

import jwt
import psycopg
import pytest
from cryptography import x509

from dev.backends import RedisServer
from shared.contract.errors import ErrorCode
from shared.contract.registration import RegisterResponse
from shared.domain.errors import ArcBridgeError
from shared.identity.certificates import thumbprint
from shared.services import authentication, certificates, clusters, rate_limit
from shared.services.authentication import Access
from shared.services.certificates import Renewed
from shared.services.control_plane import ControlPlane
from shared.settings import Settings
from tests.integration.conftest import Clock, control_plane_of
from tests.integration.services.joining import admin, csr_of, join, new_key


async def renew(cp: ControlPlane, answer: RegisterResponse, serial: str, key: Any) -> Renewed:
    return await certificates.renew(
        cp,
        tenant=answer.tenant,
        cluster_id=answer.cluster_id,
        csr=csr_of(key),
        presented_serial=serial,
    )


def assertion(cp: ControlPlane, chain: str, key: Any, **claims: Any) -> str:
    leaf = x509.load_pem_x509_certificate(chain.encode())
    cluster = leaf.subject.rfc4514_string().removeprefix("CN=")
    now = int(cp.clock().timestamp())
    content = {
        "iss": cluster, "sub": cluster, "aud": cp.settings.control_plane_url, "iat": now,
        "exp": now + 60, "jti": secrets.token_hex(16), **claims,
    }  # fmt: skip
    return jwt.encode(content, key, algorithm="ES256", headers={"x5t#S256": thumbprint(leaf)})


async def code_of(attempt: Any) -> ErrorCode:
    with pytest.raises(ArcBridgeError) as caught:
        await attempt
    return caught.value.code


async def test_current_and_new_are_both_good_until_the_new_one_is_seen(
    control_plane: ControlPlane,
) -> None:
    old_key, key = new_key(), new_key()
    first = await join(control_plane, "eu-1", key=old_key)
    renewed = await renew(control_plane, first, first.serial, key)

    async def call(chain: str, key: Any) -> None:
        await authentication.agent(control_plane, assertion(control_plane, chain, key), Access.READ)

    await call(first.certificate_chain, old_key)
    await call(renewed.certificate_chain, key)  # seen
    assert await code_of(call(first.certificate_chain, old_key)) is ErrorCode.UNAUTHENTICATED
    await call(renewed.certificate_chain, key)


async def test_naming_a_new_certificate_without_its_key_retires_nothing(
    control_plane: ControlPlane,
) -> None:
    old_key = new_key()
    first = await join(control_plane, "eu-1", key=old_key)
    renewed = await renew(control_plane, first, first.serial, new_key())
    forged = assertion(control_plane, renewed.certificate_chain, new_key())
    refused = authentication.agent(control_plane, forged, Access.READ)
    assert await code_of(refused) is ErrorCode.UNAUTHENTICATED
    good = assertion(control_plane, first.certificate_chain, old_key)
    assert await authentication.agent(control_plane, good, Access.READ)


async def test_a_lost_renewal_answer_costs_nothing_and_a_third_key_replaces_the_second(
    control_plane: ControlPlane, owner_postgres_url: str
) -> None:
    first = await join(control_plane, "eu-1")
    key = new_key()
    renewed = await renew(control_plane, first, first.serial, key)
    assert await renew(control_plane, first, first.serial, key) == renewed
    again = await renew(control_plane, first, first.serial, new_key())
    with psycopg.connect(owner_postgres_url) as connection:
        states = dict(connection.execute("select serial, state from certificates").fetchall())
    assert states == {first.serial: "Current", renewed.serial: "Retired", again.serial: "New"}


async def test_renewals_are_limited_to_one_a_minute(control_plane: ControlPlane) -> None:
    first = await join(control_plane, "eu-1")
    for _ in range(2):
        await renew(control_plane, first, first.serial, new_key())
    limited = renew(control_plane, first, first.serial, new_key())
    assert await code_of(limited) is ErrorCode.RATE_LIMITED


async def test_a_serial_that_is_not_good_renews_nothing(control_plane: ControlPlane) -> None:
    first = await join(control_plane, "eu-1")
    foreign = await join(control_plane, "eu-2")
    for serial in ("0", foreign.serial):
        refused = renew(control_plane, first, serial, new_key())
        assert await code_of(refused) is ErrorCode.UNAUTHENTICATED
    await clusters.revoke(control_plane, admin(), "eu-2")
    refused = renew(control_plane, foreign, foreign.serial, new_key())
    assert await code_of(refused) is ErrorCode.UNAUTHENTICATED


async def test_one_key_renewed_by_many_at_once_has_one_certificate(
    control_plane: ControlPlane,
) -> None:
    first = await join(control_plane, "eu-1")
    key = new_key()
    renewed = await asyncio.gather(
        *(renew(control_plane, first, first.serial, key) for _ in range(2))
    )
    assert len({each.serial for each in renewed}) == 1


async def test_a_revoked_certificates_key_is_refused_at_once(control_plane: ControlPlane) -> None:
    key = new_key()
    answer = await join(control_plane, "eu-1", key=key)
    await clusters.revoke(control_plane, admin(), "eu-1")
    token = assertion(control_plane, answer.certificate_chain, key)
    refused = authentication.agent(control_plane, token, Access.READ)
    assert await code_of(refused) is ErrorCode.UNAUTHENTICATED


async def test_an_assertion_is_good_once(control_plane: ControlPlane) -> None:
    key = new_key()
    answer = await join(control_plane, "eu-1", key=key)
    token = assertion(control_plane, answer.certificate_chain, key)
    outcomes = await asyncio.gather(
        *(authentication.agent(control_plane, token, Access.WRITE) for _ in range(20)),
        return_exceptions=True,
    )
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    expired = assertion(control_plane, answer.certificate_chain, key, iat=1, exp=60)
    refused = authentication.agent(control_plane, expired, Access.WRITE)
    assert await code_of(refused) is ErrorCode.UNAUTHENTICATED


async def test_without_redis_reading_goes_on_and_reports_wait(
    control_plane: ControlPlane, settings: Settings, clock: Clock, private_redis: RedisServer
) -> None:
    key = new_key()
    answer = await join(control_plane, "eu-1", key=key)
    url = private_redis.url()
    async with control_plane_of(dataclasses.replace(settings, redis_url=url), clock) as cp:
        await private_redis.kill()
        token = assertion(cp, answer.certificate_chain, key)
        assert await authentication.agent(cp, token, Access.READ)
        waiting = authentication.agent(cp, token, Access.WRITE)
        assert await code_of(waiting) is ErrorCode.UNAVAILABLE


async def test_without_redis_limits_hold_in_each_worker(
    control_plane: ControlPlane, settings: Settings, clock: Clock, private_redis: RedisServer
) -> None:

    url = private_redis.url()
    async with control_plane_of(dataclasses.replace(settings, redis_url=url), clock) as cp:
        await private_redis.kill()
        for _ in range(10):
            await cp.limits.check(rate_limit.REGISTER, "198.51.100.7")
        limited = cp.limits.check(rate_limit.REGISTER, "198.51.100.7")
        assert await code_of(limited) is ErrorCode.RATE_LIMITED


async def test_a_suspended_tenants_agents_and_people_are_refused(
    control_plane: ControlPlane, owner_postgres_url: str
) -> None:
    key = new_key()
    answer = await join(control_plane, "eu-1", key=key)
    with psycopg.connect(owner_postgres_url) as connection:
        connection.execute("update tenants set state = 'Suspended'")
    token = assertion(control_plane, answer.certificate_chain, key)
    refused = authentication.agent(control_plane, token, Access.READ)
    assert await code_of(refused) is ErrorCode.FORBIDDEN


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("junk", "unknown"),
        (None, "unknown"),
    ],
)
def test_addresses_of_one_network_share_a_limit(address: str | None, subject: str) -> None:

    assert rate_limit.address_subject(address) == subject
