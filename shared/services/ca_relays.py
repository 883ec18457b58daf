"""The relays that are there, and which generations of the CA each of them takes.

A rotation of the CA waits for all of them; one that has been silent for a while is not there.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.services.hot_path import HotPath
from shared.store.queries import load

_Q = load("ca")


async def note(cp: HotPath, relay_id: str, trusts: Sequence[str], serves: str) -> None:
    """A relay takes these generations, and its own certificate is of that one."""
    async with cp.db.platform() as tx:
        await tx.execute(
            _Q.note_relay,
            relay_id=relay_id,
            trusts=sorted(trusts),
            serves=serves,
            now=cp.clock(),
        )


async def forget(cp: HotPath, relay_id: str) -> None:
    """A relay has ended in order."""
    async with cp.db.platform() as tx:
        await tx.execute(_Q.forget_relay, relay_id=relay_id)
