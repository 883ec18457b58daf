"""Inventories: what a cluster consists of, stored set-based and under the session's epoch.

A full inventory replaces what is stored, a delta changes it; a delta against another inventory than
the stored one is refused, and the relay then asks for a full one. An older session writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.services.cluster_key import ClusterKey
from shared.services.hot_path import HotPath
from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("inventory")


@dataclass(frozen=True, slots=True)
class Item:
    """One object of an inventory."""

    kind: str
    namespace: str
    name: str
    data: str = "{}"
    """A JSON object, checked by whoever made this."""


async def checksum(cp: HotPath, key: ClusterKey) -> str:
    """The checksum of the stored inventory; empty where there is none."""
    async with cp.db.tenant(key.tenant) as tx:
        return await _stored_checksum(tx, key)


async def replace(
    cp: HotPath, key: ClusterKey, epoch: int, new_checksum: str, items: Sequence[Item]
) -> None:
    """Make the stored inventory this one.

    Raises StaleEpoch for a session that is no longer the newest, InvalidRequest for data that
    cannot be stored, and Unavailable.
    """
    async with cp.db.tenant(key.tenant) as tx:
        await _hold_session(tx, key, epoch)
        await _set_checksum(cp, tx, key, new_checksum)
        await tx.execute(_Q.keep_only, **_of(key), **_names(items))
        await _put(tx, key, items)
        await tx.execute(_Q.summarize, **_of(key))


async def change(
    cp: HotPath,
    key: ClusterKey,
    epoch: int,
    *,
    base_checksum: str,
    new_checksum: str,
    put: Sequence[Item],
    removed: Sequence[Item],
) -> bool:
    """Apply a delta; False, and nothing changed, when it is against another inventory.

    Raises as `replace`. A delta that was applied already counts as applied.
    """
    async with cp.db.tenant(key.tenant) as tx:
        await _hold_session(tx, key, epoch)
        stored = await _stored_checksum(tx, key)
        if stored == new_checksum:
            return True
        if stored != base_checksum:
            return False
        await _set_checksum(cp, tx, key, new_checksum)
        await tx.execute(_Q.remove_objects, **_of(key), **_names(removed))
        await _put(tx, key, put)
        await tx.execute(_Q.summarize, **_of(key))
        return True


async def _hold_session(tx: Transaction, key: ClusterKey, epoch: int) -> None:
    """Hold the session's row, so that what follows is written under the newest epoch."""
    if await tx.one(_Q.lock_session, **_of(key), epoch=epoch) is None:
        raise ArcBridgeError(ErrorCode.STALE_EPOCH, "a newer session of this cluster exists")


async def _set_checksum(cp: HotPath, tx: Transaction, key: ClusterKey, new_checksum: str) -> None:
    await tx.execute(_Q.set_checksum, **_of(key), checksum=new_checksum, now=cp.clock())


async def _put(tx: Transaction, key: ClusterKey, items: Sequence[Item]) -> None:
    if items:
        data = [item.data for item in items]
        await tx.execute(_Q.put_objects, **_of(key), **_names(items), data=data)


async def _stored_checksum(tx: Transaction, key: ClusterKey) -> str:
    return await tx.value(_Q.checksum, **_of(key)) or ""


def _of(key: ClusterKey) -> dict[str, Any]:
    return {"tenant": key.tenant, "cluster": key.cluster_id}


def _names(items: Sequence[Item]) -> dict[str, list[str]]:
    return {
        "kinds": [item.kind for item in items],
        "namespaces": [item.namespace for item in items],
        "names": [item.name for item in items],
    }
