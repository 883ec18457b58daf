"""Wake-ups: from the outbox through Redis to the relay that holds the cluster's stream.

A wake-up is a hint. It may come twice or not at all, and what it tells of is found by the next poll
anyway; so rows are deleted once they are published, and those that nobody could publish for longer
than agents poll are dropped. Revocations and newer sessions are also looked up by the relays.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from redis.asyncio import Redis

from shared.domain.errors import ArcBridgeError
from shared.services.cluster_key import ClusterKey
from shared.services.hot_path import REDIS_ERRORS, HotPath
from shared.store.queries import load
from shared.store.transaction import Row
from shared.telemetry.tracing import is_traceparent

_Q = load("wakeups")
_log = logging.getLogger(__name__)

CHANNEL: Final = "ab:wake"
CLUSTERS_PER_MESSAGE: Final = 500
ROWS_PER_BATCH: Final = 1_000
BATCHES_PER_CALL: Final = 20
"""One call sends 20,000 wake-ups at most; the next one goes on."""
WORTH_SENDING: Final = timedelta(minutes=10)
PUBLISH_SECONDS: Final = 1.0


class Topic(StrEnum):
    """What a cluster's stream is told."""

    DESIRED = "desired"
    """Its desired state changed."""
    REVOKED = "revoked"
    """One of its certificates was revoked: look which."""
    SESSION = "session"
    """A newer session of it exists: its epoch stands in the message."""


@dataclass(frozen=True, slots=True)
class Wake:
    """One message of the channel."""

    topic: Topic
    clusters: Mapping[ClusterKey, int]
    """Each with its newest epoch for SESSION, else with 0."""
    traceparent: str | None = None


def encode(wake: Wake) -> str:
    """The message's JSON."""
    message: dict[str, object] = {"t": wake.topic.value, "c": [str(key) for key in wake.clusters]}
    if wake.topic is Topic.SESSION:
        message["e"] = list(wake.clusters.values())
    if wake.traceparent:
        message["tp"] = wake.traceparent
    return json.dumps(message, separators=(",", ":"))


def decode(data: bytes | str) -> Wake | None:
    """The wake-up in a message; None for one that `encode` does not write."""
    try:
        raw = json.loads(data)
        topic = Topic(raw["t"])
        keys = [ClusterKey.parse(text) for text in raw["c"]]
        epochs = raw["e"] if topic is Topic.SESSION else [0] * len(keys)
        if len(keys) > CLUSTERS_PER_MESSAGE or any(type(epoch) is not int for epoch in epochs):
            return None
        clusters = {key: epoch for key, epoch in zip(keys, epochs, strict=True) if key is not None}
        parent = raw.get("tp")
        return Wake(topic, clusters, parent if is_traceparent(parent) else None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


async def publish(redis: Redis, wakes: Iterable[Wake]) -> None:
    """Tell every relay, in one round trip. Raises Redis's errors, and TimeoutError after 1 s."""
    pipeline = redis.pipeline(transaction=False)
    for wake in wakes:
        keys = list(wake.clusters)
        for start in range(0, len(keys), CLUSTERS_PER_MESSAGE):
            part = {key: wake.clusters[key] for key in keys[start : start + CLUSTERS_PER_MESSAGE]}
            pipeline.publish(CHANNEL, encode(Wake(wake.topic, part, wake.traceparent)))
    async with asyncio.timeout(PUBLISH_SECONDS):
        await pipeline.execute()


async def send(cp: HotPath) -> int:
    """Drain the outbox; the number of rows that left it.

    Raises Redis's errors, and Unavailable when Postgres is away; what was not sent stays.
    """
    total = 0
    for _ in range(BATCHES_PER_CALL):
        sent = await _send_batch(cp)
        total += sent
        if sent < ROWS_PER_BATCH:
            break
    return total


async def try_to_send(cp: HotPath) -> None:
    """`send` after a commit: relays do it too, so a failure costs seconds only."""
    try:
        await send(cp)
    except (*REDIS_ERRORS, ArcBridgeError) as error:
        _log.warning("wakeups.failed", extra={"error": type(error).__name__})


async def _send_batch(cp: HotPath) -> int:
    # The one transaction that spans a network call, for a second at most: committed before, a crash
    # would lose the wake-ups; not locked meanwhile, every sender would send each of them.
    async with cp.db.platform() as tx:
        rows = await tx.all(_Q.take_wakeups, limit=ROWS_PER_BATCH)
        if rows:
            await publish(cp.redis, grouped(rows, cp.clock()))
    return len(rows)


def grouped(rows: Sequence[Row], now: datetime) -> list[Wake]:
    """The rows still worth sending, as few messages: one for each topic and trace."""
    groups: dict[tuple[Topic, str | None], dict[ClusterKey, int]] = defaultdict(dict)
    for row in rows:
        if now - row["created_at"] <= WORTH_SENDING:
            group = groups[Topic(row["topic"]), row["traceparent"]]
            group[ClusterKey(row["tenant_id"], row["cluster_id"])] = 0
    return [Wake(topic, clusters, parent) for (topic, parent), clusters in groups.items()]
