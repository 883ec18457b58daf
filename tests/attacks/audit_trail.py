"""Attacks on the audit trail, by someone who owns the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.attacks.attack import held, row
from tests.attacks.target import Target

ENTRIES = 5


@row(
    "audit",
    "edited, deleted, truncated rows; a forged head",
    expected="`verify` says which",
    alone=True,
)
async def tampered(target: Target) -> str:
    for _ in range(ENTRIES):
        answer = await target.ask("POST", "bootstrap-tokens", who="otherAdmin", json={})
        answer.raise_for_status()
    whole = await _verified(target)
    held(whole[0], f"the trail is broken before: {whole}")
    newest = whole[1]
    found = {}
    async with restored(target):
        await target.sql(
            "update events set actor = 'person:someone' where tenant_id = 'other' and sequence = 2"
        )
        found["edited 2"] = await _verified(target)
    async with restored(target):
        await target.sql("delete from events where tenant_id = 'other' and sequence = 3")
        found["deleted 3"] = await _verified(target)
    async with restored(target):
        await target.sql("delete from events where tenant_id = 'other' and sequence = %s", newest)
        found[f"cut off {newest}"] = await _verified(target)
    async with restored(target):
        await target.sql("delete from events where tenant_id = 'other'")
        found["emptied 1"] = await _verified(target)
    seen = ", ".join(f"{why}: broken at {broken}" for why, (_, _, broken) in found.items())
    for why, (intact, _, broken) in found.items():
        held(not intact and str(broken) == why.split()[-1], f"{seen} ({why})")
    held((await _verified(target))[0], f"{seen}; and then not whole again")
    return seen


async def _verified(target: Target) -> tuple[bool, int, int | None]:
    answer = await target.ask("GET", "events", who="otherAdmin", params={"verify": "true"})
    found = answer.json()
    return found["intact"], found["checked"], found.get("firstBrokenSequence")


@asynccontextmanager
async def restored(target: Target) -> AsyncIterator[None]:
    """The trail of tenant other is as it was after the block."""
    await target.sql("create table attack_kept as select * from events where tenant_id = 'other'")
    try:
        yield
    finally:
        await target.sql("delete from events where tenant_id = 'other'")
        await target.sql("insert into events select * from attack_kept")
        await target.sql("drop table attack_kept")
