"""From a credential to a Caller: an access token, or an agent's signed assertion.

A replayed assertion is known by its `jti` in Redis. While Redis does not answer:
* reading (GET /desired) goes on: for its five minutes a stolen assertion reads what it could read
  once anyway, and fleets keep reconciling through the loss of Redis;
* writing (POST /status) is refused with Unavailable: a replay could carry another body. Nothing is
  lost by that, because an agent keeps its reports until they are acknowledged.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

from redis.exceptions import RedisError

from shared.contract.errors import ErrorCode
from shared.contract.states import Role
from shared.domain.errors import ArcBridgeError
from shared.identity import assertions
from shared.identity.assertions import Assertion
from shared.services import certificates
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.queries import load

JTI_PREFIX = "ab:jti:"
REDIS_SECONDS = 1.0
RETRY_SECONDS = 5.0

_Q = load("tenants")


class Access(StrEnum):
    """What an agent's call does."""

    READ = "read"
    WRITE = "write"


async def person(
    cp: ControlPlane, token: str, *, address: str | None = None, traceparent: str | None = None
) -> Caller:
    """Who an access token is about: a person or a service, in its tenant with its roles.

    Raises Unauthenticated; Forbidden when the tenant is unknown here or suspended; Unavailable.
    Who runs the platform may do that while their own tenant is suspended or gone: nobody else could
    bring it back. They have no other role then.
    """
    principal = await cp.tokens.verify(token)
    async with cp.db.tenant(principal.tenant) as tx:
        state = await tx.value(_Q.state_of, tenant=principal.tenant)
    roles = principal.roles
    if state != "Active":
        roles &= {Role.PLATFORM_ADMIN}
    if state != "Active" and not roles:
        raise ArcBridgeError(ErrorCode.FORBIDDEN, "the tenant is unknown here, or suspended")
    return Caller(
        actor=principal.actor,
        tenant=principal.tenant,
        roles=roles,
        address=address,
        traceparent=traceparent,
    )


async def agent(
    cp: ControlPlane,
    assertion: str,
    access: Access,
    *,
    address: str | None = None,
    traceparent: str | None = None,
) -> Caller:
    """Which cluster signed an assertion. Raises Unauthenticated, Forbidden, Unavailable."""
    holder = await certificates.find(cp, assertions.peek(assertion))
    verified = assertions.verify(
        assertion,
        public_key=holder.public_key,
        cluster_id=str(holder.cluster_id),
        audience=cp.settings.control_plane_url,
        now=cp.clock(),
    )
    await _first_use(cp, verified, access)
    if holder.is_new:
        async with cp.db.tenant(holder.tenant) as tx:
            await certificates.seen(tx, holder.tenant, holder.cluster_id, holder.serial)
    return Caller(
        actor=f"cluster:{holder.cluster_id}",
        tenant=holder.tenant,
        cluster_id=holder.cluster_id,
        address=address,
        traceparent=traceparent,
    )


async def _first_use(cp: ControlPlane, verified: Assertion, access: Access) -> None:
    seconds = max(1, round(verified.expires_at - cp.clock().timestamp()) + 1)
    key = f"{JTI_PREFIX}{verified.subject}:{verified.jti}"
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            is_new = await cp.redis.set(key, "1", nx=True, ex=seconds)
    except (RedisError, OSError, TimeoutError) as error:
        if access is Access.READ:
            return
        raise ArcBridgeError(
            ErrorCode.UNAVAILABLE,
            "reports cannot be taken now: keep them and send them again",
            retry_after=RETRY_SECONDS,
        ) from error
    if not is_new:
        raise ArcBridgeError(ErrorCode.UNAUTHENTICATED, "the agent's assertion does not hold")
