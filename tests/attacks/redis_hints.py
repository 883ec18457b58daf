"""Attacks on Redis: whoever writes there may waste a little work, and decides nothing."""

from __future__ import annotations

import json
from uuid import uuid4

from shared.services import heartbeats, wakeups
from shared.services.cluster_key import ClusterKey
from shared.services.wakeups import Topic, Wake
from tests.attacks.attack import held, row
from tests.attacks.extensions import files, manifest
from tests.attacks.target import CLUSTERS, Target, eventually

JUNK = (
    b"",
    b"\x00\xff",
    b"null",
    b"[]",
    b"{" * 10_000,
    b'{"t": "desired", "c": ["../.."]}',
    b"9" * 99,
)


@row(
    "Redis",
    "junk and forged entries: heartbeats, wake-ups, revocations, sessions; then all of it lost",
    expected="harmless: hints only",
    alone=True,
)
async def forged_entries(target: Target) -> str:
    cluster = await target.enrolled("attack-never-connected")
    mine = ClusterKey("demo", target.credential(cluster).key.cluster_id)
    rows = await target.sql("select cluster_id from clusters where name = any(%s)", list(CLUSTERS))
    real = [ClusterKey("demo", each["cluster_id"]) for each in rows]
    epochs = await _epochs(target)
    redis = target.redis
    for junk in JUNK:
        await redis.publish(wakeups.CHANNEL, junk)
        await redis.hset(heartbeats.HASH, uuid4().hex, junk)  # type: ignore[misc] # typed for both clients
        await redis.sadd(heartbeats.FLUSHING, junk)  # type: ignore[misc] # as above
    forged = json.dumps(
        {"e": 1, "s": 99, "t": 2**47, "k": None, "n": [0, 0, 0, 0], "p": 0, "d": "", "r": "x"}
    )
    foreign = ClusterKey("other", uuid4())
    for key in (mine, foreign):
        await redis.hset(heartbeats.HASH, str(key), forged)  # type: ignore[misc] # as above
    for topic in (Topic.DESIRED, Topic.REVOKED, Topic.SESSION):
        await wakeups.publish(redis, [Wake(topic, dict.fromkeys(real, 2**40))])
    await eventually(lambda: _taken_aside(target, str(mine)))
    await redis.flushall()
    state = (await target.ask("GET", "clusters/attack-never-connected")).json()["state"]
    outcome = await target.verdict(manifest("attack-after-redis", files()))
    connected = await eventually(lambda: _connected(target))
    restarts = {name: child.restarts for name, child in target.stack.children.items()}
    seen = (
        f"the forged cluster is {state}; streams kept: {epochs == await _epochs(target)}; "
        f"after FLUSHALL a publish {outcome['state']}, {len(connected)} clusters connected"
    )
    held(state == "Pending" and outcome["state"] == "Succeeded", seen)
    held(epochs == await _epochs(target) and not any(restarts.values()), f"{seen}; {restarts}")
    return seen


async def _taken_aside(target: Target, key: str) -> bool:
    """Whether a flush has read the forged heartbeat."""
    return not await target.redis.hexists(heartbeats.HASH, key)  # type: ignore[misc] # as above


async def _epochs(target: Target) -> dict[str, int]:
    """The epoch of each real cluster's session: it grows when a stream is lost."""
    rows = await target.sql(
        "select c.name, s.epoch from sessions s join clusters c using (tenant_id, cluster_id)"
        " where c.name = any(%s)",
        list(CLUSTERS),
    )
    return {each["name"]: each["epoch"] for each in rows}


async def _connected(target: Target) -> set[str]:
    answer = await target.ask("GET", "clusters", params={"state": "Connected"})
    names = {each["name"] for each in answer.json()["items"]}
    return names if {*CLUSTERS} <= names else set()
