"""Limits on how often something is called: GCRA buckets in Redis, shared by all workers.

A bucket that Redis does not know is full, so losing Redis refuses nobody. While Redis does not
answer, each worker counts for itself with the same rates: the limit then holds per worker, and no
call is refused for Redis's sake. What these limits protect (the CPU, the database) has limits of
its own; none of them is what keeps an attacker out.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass

from redis.asyncio import Redis

from shared.contract import limits
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.pacing.gcra import Rate
from shared.pacing.memory import MemoryTokens
from shared.pacing.redis import RedisTokens
from shared.pacing.source import Bucket, Grant

PREFIX = "ab:rl:"
REDIS_SECONDS = 0.5
IPV6_NETWORK_BITS = 64
"""One customer has a whole /64; addresses within one are counted together."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A named limit; `subject` in a call says whose bucket it is."""

    name: str
    rate: Rate


def _limit(name: str, per_second_and_burst: tuple[float, int]) -> Limit:
    per_second, burst = per_second_and_burst
    return Limit(name, Rate(per_second * 60, burst))


REGISTER = _limit("register", limits.REGISTER_PER_ADDRESS)
PUBLISH = _limit("publish", limits.PUBLISH_PER_TENANT)
FORESEE = _limit("foresee", limits.FORESEE_PER_TENANT)
STATUS = _limit("status", limits.STATUS_PER_CLUSTER)
RENEW = Limit("renew", Rate(per_minute=1, burst=2))


class RateLimiter:
    """Takes one token, or says when to come back."""

    def __init__(self, redis: Redis) -> None:
        self._shared = RedisTokens(redis, deadline_seconds=REDIS_SECONDS)
        self._own = MemoryTokens(time.monotonic)

    async def check(self, limit: Limit, subject: str) -> None:
        """Raises RateLimited, with the seconds to wait."""
        bucket = Bucket(f"{PREFIX}{limit.name}:{subject}", limit.rate, starts_full=True)
        grant = await self._take(bucket)
        if grant.count == 0:
            raise ArcBridgeError(
                ErrorCode.RATE_LIMITED,
                f"too many calls: {limit.name} takes {limit.rate.per_minute:g} a minute",
                retry_after=max(grant.retry_after, 0.1),
            )

    async def _take(self, bucket: Bucket) -> Grant:
        try:
            return await self._shared.take([bucket], 1)
        except ArcBridgeError:
            return await self._own.take([bucket], 1)


def address_subject(address: str | None) -> str:
    """Whose bucket a network address is: an IPv4 address, an IPv6 /64, or everyone unknown."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False))
    return str(parsed)
