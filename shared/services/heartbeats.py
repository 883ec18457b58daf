"""Heartbeats on their way to Postgres: the relay leaves them in Redis, a timer takes them over.

Redis holds only the newest heartbeat of each cluster, so what is stored is bounded by the fleet and
what is lost with Redis comes again within one interval. Where Redis is away the relay stores its
batch in Postgres itself, by the same statement. That statement lets only newer heartbeats of the
current epoch through, so everything here may run twice, late, or at the same time elsewhere; an
entry that somebody forged in Redis can at most make a known session look alive.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.services.cluster_key import ClusterKey
from shared.services.hot_path import HotPath
from shared.store.database import Database
from shared.store.queries import load

_Q = load("heartbeats")

HASH: Final = "ab:hb"
"""Field `<tenant>/<cluster id>`: the newest heartbeat of the cluster since the last flush."""
FLUSHING: Final = "ab:hb:flushing"
"""Set of the ids of hashes that a flush has taken aside, at `ab:hb:flushing:<id>`."""
FIELDS_PER_COMMAND: Final = 2_000
ROWS_PER_STATEMENT: Final = 10_000
_INT32, _INT64 = 2**31 - 1, 2**63 - 1
_DIGEST_LENGTH = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What the relay saw of one cluster."""

    key: ClusterKey
    epoch: int
    sequence: int
    received_ms: int
    """The relay's clock, milliseconds since 1970."""
    skew_ms: int | None
    """How far the agent's clock is ahead of the relay's; None where it sent no time."""
    extensions: int = 0
    ready: int = 0
    failed: int = 0
    drifted: int = 0
    pending: int = 0
    digest: str = ""
    relay: str = ""

    def is_newer_than(self, other: Heartbeat) -> bool:
        """Order within a cluster: epoch, then sequence."""
        return (self.epoch, self.sequence) > (other.epoch, other.sequence)


def encode(beat: Heartbeat) -> str:
    """The compact JSON form that lies in Redis."""
    return json.dumps(
        {
            "e": beat.epoch,
            "s": beat.sequence,
            "t": beat.received_ms,
            "k": beat.skew_ms,
            "n": [beat.extensions, beat.ready, beat.failed, beat.drifted],
            "p": beat.pending,
            "d": beat.digest,
            "r": beat.relay,
        },
        separators=(",", ":"),
    )


def decode(field: bytes | str, value: bytes | str) -> Heartbeat | None:
    """The heartbeat in a field of the hash; None for anything that `encode` does not write."""
    try:
        key = ClusterKey.parse(_text(field))
        raw = json.loads(value)
        counts = [_whole(count, _INT32) for count in raw["n"]]
        digest = raw["d"]
        if key is None or len(counts) != len("erfd") or not is_digest(digest):
            return None
        return Heartbeat(
            key=key,
            epoch=_whole(raw["e"], _INT64),
            sequence=_whole(raw["s"], _INT64),
            received_ms=_whole(raw["t"], 2**48),
            skew_ms=None if raw["k"] is None else _whole(raw["k"], _INT64, least=-_INT64),
            extensions=counts[0],
            ready=counts[1],
            failed=counts[2],
            drifted=counts[3],
            pending=_whole(raw["p"], _INT32),
            digest=digest,
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _text(value: bytes | str) -> str:
    """Clients are made with and without decoding; both are welcome."""
    return value if isinstance(value, str) else value.decode("ascii", "replace")


def _whole(value: object, most: int, *, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(value)
    return value


def is_digest(value: object) -> bool:
    """Whether an agent's digest may be stored: printable ASCII of bounded length, or empty."""
    if not isinstance(value, str) or len(value) > _DIGEST_LENGTH:
        return False
    return value.isascii() and (not value or value.isprintable())


async def post(redis: Redis, beats: Iterable[Heartbeat]) -> None:
    """Leave heartbeats in Redis, in one round trip. Raises Redis's errors."""
    fields = [text for beat in beats for text in (str(beat.key), encode(beat))]
    pipeline = redis.pipeline(transaction=False)
    for start in range(0, len(fields), 2 * FIELDS_PER_COMMAND):
        pipeline.hset(HASH, items=fields[start : start + 2 * FIELDS_PER_COMMAND])
    await pipeline.execute()


async def store(db: Database, beats: Sequence[Heartbeat], now: datetime) -> int:
    """Store a batch of at most ROWS_PER_STATEMENT in one statement; the number that was news.

    Raises Unavailable when Postgres is away.
    """
    if not beats:
        return 0
    async with db.platform() as tx:
        return await tx.execute(_Q.store_heartbeats, **_columns(beats), now=now)


async def flush(cp: HotPath) -> int:
    """Move what lies in Redis to Postgres; the number of sessions that got news.

    The hash is renamed first, so that relays go on with a fresh one, and deleted last, so that a
    flush that died is taken up by the next. Raises Redis's errors and Unavailable.
    """
    stored = 0
    for batch_id in await _take_aside(cp.redis):
        name = f"{FLUSHING}:{batch_id}"
        async for beats in _batches(cp.redis, name):
            stored += await store(cp.db, beats, cp.clock())
        await cp.redis.unlink(name)
        await cp.redis.srem(FLUSHING, batch_id)
    return stored


async def _take_aside(redis: Redis) -> list[str]:
    """Ids of the hashes to store: those left over, then the current one.

    The hash gets its name and its place in the set in one transaction: an id there without a hash
    is done, whoever looks, and a hash without its id there would never be found again.
    """
    left_over = [_text(member) for member in await redis.smembers(FLUSHING)]
    batch_id = token_hex(8)
    transaction = redis.pipeline(transaction=True)
    transaction.rename(HASH, f"{FLUSHING}:{batch_id}")
    transaction.sadd(FLUSHING, batch_id)
    try:
        await transaction.execute()
    except ResponseError as error:
        if "no such key" not in str(error):
            raise
        await redis.srem(FLUSHING, batch_id)
        return left_over
    return [*left_over, batch_id]


async def _batches(redis: Redis, name: str) -> AsyncIterator[list[Heartbeat]]:
    """The heartbeats of a hash that nobody writes to any more, one per cluster and batch."""
    cursor = 0
    while True:
        cursor, fields = await redis.hscan(name, cursor, count=ROWS_PER_STATEMENT)
        pairs = dict(fields).items()  # type: ignore[arg-type] # a mapping, in both protocols
        found = [beat for pair in pairs if (beat := decode(*pair)) is not None]
        if found:
            yield found
        if cursor == 0:
            return


def _columns(beats: Sequence[Heartbeat]) -> dict[str, list[Any]]:
    return {
        "tenants": [beat.key.tenant for beat in beats],
        "clusters": [str(beat.key.cluster_id) for beat in beats],
        "epochs": [beat.epoch for beat in beats],
        "sequences": [beat.sequence for beat in beats],
        "received_ms": [beat.received_ms for beat in beats],
        "skews": [beat.skew_ms for beat in beats],
        "extensions": [beat.extensions for beat in beats],
        "ready": [beat.ready for beat in beats],
        "failed": [beat.failed for beat in beats],
        "drifted": [beat.drifted for beat in beats],
        "pending": [beat.pending for beat in beats],
        "digests": [beat.digest for beat in beats],
    }
