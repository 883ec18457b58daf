"""Buckets in Redis: one script, atomic over several buckets, by the server's clock.

Redis may lose everything at any time. A pacing bucket it no longer knows is empty, not full, so
that a restart of Redis slows a rollout down and never lets too many out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.resources import files

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.pacing.source import Bucket, Grant

_KEPT_SECONDS = 86_400.0
"""A pacing bucket is forgotten a day after it became full; after that it starts empty again."""


class RedisTokens:
    """A TokenSource over Redis 7 or newer, by one Lua script."""

    def __init__(self, redis: Redis, *, deadline_seconds: float = 2.0) -> None:
        """Use a client that someone else owns."""
        self._deadline_seconds = deadline_seconds
        text = files("shared.pacing").joinpath("take.lua").read_text(encoding="utf-8")
        self._script = redis.register_script(text)

    async def take(self, buckets: Sequence[Bucket], wanted: int) -> Grant:
        """See TokenSource."""
        given, wait = await self._run(buckets, wanted, "take")
        return Grant(given, wait / 1e6)

    async def fill(self, bucket: Bucket) -> None:
        """See TokenSource."""
        await self._run([bucket], 0, "fill")

    async def _run(self, buckets: Sequence[Bucket], wanted: int, what: str) -> tuple[int, int]:
        arguments: list[str | int | float] = [wanted, what]
        for bucket in buckets:
            # One that starts full is worth keeping only while it is not full.
            beyond = 0.0 if bucket.starts_full else _KEPT_SECONDS
            kept = round((bucket.rate.fill_seconds + beyond) * 1000) + 1
            interval = f"{bucket.rate.interval * 1e6:.6f}"
            arguments += [interval, bucket.rate.burst, int(bucket.starts_full), kept]
        try:
            async with asyncio.timeout(self._deadline_seconds):
                given, wait = await self._script(keys=[b.key for b in buckets], args=arguments)
        except (RedisError, TimeoutError, OSError) as error:
            raise ArcBridgeError(
                ErrorCode.UNAVAILABLE, "the token buckets cannot be reached", retry_after=5.0
            ) from error
        return int(given), int(wait)
