"""What timers share: one run at a time over all workers, and a note of the last good one.

A timer may fire twice at once or not at all. A second run finds the lock taken and does nothing; a
missed one is made up by the next. The notes stand in Redis, because only monitoring reads them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.services.control_plane import ControlPlane
from shared.services.hot_path import REDIS_ERRORS
from shared.store.queries import load
from shared.store.transaction import Transaction
from shared.telemetry.logs import get_logger

NOTES = "ab:timers"
REDIS_SECONDS = 1.0

_Q = load("store")
_log = get_logger(__name__)


@asynccontextmanager
async def alone(
    cp: ControlPlane, name: str, *, seconds: float | None = None
) -> AsyncIterator[Transaction | None]:
    """A platform transaction that no other run of the timer has; None when one has it."""
    async with cp.db.platform(seconds=seconds) as tx:
        held = await tx.value(_Q.try_advisory_lock, name=f"arcbridge.timer.{name}")
        yield tx if held else None


async def note_run(cp: ControlPlane, name: str) -> None:
    """Remember that a timer came to its end just now."""
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            await cp.redis.hset(NOTES, name, str(cp.clock().timestamp()))
    except REDIS_ERRORS as error:
        _log.warning("timer not noted", timer=name, error=repr(error))


async def ages(cp: ControlPlane) -> dict[str, float]:
    """Seconds since each timer last came to its end; empty while Redis does not answer."""
    now = cp.clock().timestamp()
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            noted = await cp.redis.hgetall(NOTES)
        return {
            name: max(0.0, now - float(at))
            for name, at in ((_text(key), _text(value)) for key, value in noted.items())
            if name.replace("_", "").isalpha()
        }
    except (*REDIS_ERRORS, ValueError):
        return {}


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
