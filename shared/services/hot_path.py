"""What the hot path needs of its owner: Postgres, Redis and a clock.

The control plane and each relay own these; the services of the hot path take either.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.store.database import Database

REDIS_ERRORS = (RedisError, OSError, TimeoutError)
"""All that a Redis that is away raises. Everything in it is a hint or comes again."""


class HotPath(Protocol):
    """Owner of the two stores; `ControlPlane` is one."""

    @property
    def db(self) -> Database: ...

    @property
    def redis(self) -> Redis: ...

    @property
    def clock(self) -> Callable[[], datetime]:
        """The current time in UTC."""
        ...
