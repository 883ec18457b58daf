"""Inventories as they arrive: chunks are put together within limits, then stored.

An inventory in the making is held in memory, so its size is bounded for each stream and for all
streams of the process together. Overflow policy: over its own limit a stream is ended; over the
common one the inventory is dropped and the agent is asked for it again later.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from relay.metrics import RelayMetrics
from shared.contract.errors import ErrorCode
from shared.contract.limits import INVENTORY_BYTES, INVENTORY_CHUNK_BYTES
from shared.domain.errors import ArcBridgeError
from shared.rpc.codec import inventory_checksum
from shared.rpc.v1 import relay_pb2 as pb
from shared.services import inventory
from shared.services.cluster_key import ClusterKey
from shared.services.hot_path import HotPath
from shared.services.inventory import Item

MOST_BYTES_AT_ONCE = 8 * INVENTORY_BYTES
STORED_AT_ONCE = 4
TEXT_LENGTH = 253
# An escape is one only after an even number of backslashes: a text may speak of "\\u0000".
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class ProtocolError(Exception):
    """The agent does not keep to the protocol; the text says how."""


@dataclass(slots=True)
class Assembly:
    """The chunks of one inventory so far."""

    checksum: str = ""
    objects: list[pb.InventoryObject] = field(default_factory=list)
    chunks: int = 0
    size_bytes: int = 0

    def add(self, chunk: pb.InventoryFull) -> None:
        """Take the next chunk; number 0 starts anew. Raises ProtocolError."""
        size = chunk.ByteSize()
        if size > INVENTORY_CHUNK_BYTES:
            raise ProtocolError(f"an inventory chunk has {size} bytes")
        if chunk.chunk == 0:
            self.clear()
            self.checksum = chunk.checksum
        if chunk.chunk != self.chunks or chunk.checksum != self.checksum:
            raise ProtocolError("an inventory chunk is missing")
        if self.size_bytes + size > INVENTORY_BYTES:
            raise ProtocolError("the inventory is over its limit")
        self.objects.extend(chunk.objects)
        self.chunks += 1
        self.size_bytes += size

    def clear(self) -> None:
        """Forget what there is."""
        self.checksum, self.chunks, self.size_bytes = "", 0, 0
        self.objects = []


class Intake:
    """Stores the inventories of all streams, some at a time."""

    def __init__(self, cp: HotPath, metrics: RelayMetrics) -> None:
        self._cp = cp
        self._metrics = metrics
        self._storing = asyncio.Semaphore(STORED_AT_ONCE)
        self._held_bytes = 0

    async def full(
        self, key: ClusterKey, epoch: int, assembly: Assembly, chunk: pb.InventoryFull
    ) -> str | None:
        """Take a chunk. The checksum of what is stored now, empty to have it sent again, or None
        while chunks are missing. Raises ProtocolError, and ArcBridgeError as `inventory.replace`.
        """
        before = assembly.size_bytes
        assembly.add(chunk)
        self._held_bytes += assembly.size_bytes - before
        if self._held_bytes > MOST_BYTES_AT_ONCE:
            self.drop(assembly)
            self._metrics.inventories.labels("full", "dropped").inc()
            return ""
        if not chunk.last:
            return None
        try:
            checksum = assembly.checksum
            if inventory_checksum(assembly.objects) != checksum:
                raise ProtocolError("the inventory's checksum is another one")
            async with self._storing:
                items = items_of(assembly.objects)
                await inventory.replace(self._cp, key, epoch, checksum, items)
            self._metrics.inventories.labels("full", "stored").inc()
            return checksum
        finally:
            self.drop(assembly)

    async def delta(self, key: ClusterKey, epoch: int, delta: pb.InventoryDelta) -> str:
        """Apply a delta. The checksum of what is stored now; empty where a full one is needed."""
        put = items_of([*delta.added, *delta.changed])
        async with self._storing:
            applied = await inventory.change(
                self._cp,
                key,
                epoch,
                base_checksum=delta.base_checksum,
                new_checksum=_checked_text(delta.checksum),
                put=put,
                removed=items_of(delta.removed),
            )
        self._metrics.inventories.labels("delta", "stored" if applied else "refused").inc()
        return delta.checksum if applied else ""

    def drop(self, assembly: Assembly) -> None:
        """Give back the memory of an inventory in the making."""
        self._held_bytes -= assembly.size_bytes
        assembly.clear()


def items_of(objects: Iterable[pb.InventoryObject]) -> list[Item]:
    """The objects as they are stored, each name once (the last counts). Raises ProtocolError."""
    items: dict[tuple[str, str, str], Item] = {}
    for each in objects:
        name = (_checked_text(each.kind), _checked_text(each.namespace), _checked_text(each.name))
        items[name] = Item(*name, data=_checked_json(each.data))
    return list(items.values())


def _checked_text(text: str) -> str:
    if len(text) > TEXT_LENGTH or "\x00" in text:
        raise ProtocolError("a name in the inventory is no name")
    return text


def _checked_json(data: bytes) -> str:
    """A JSON object that Postgres can store: no NUL, no lone surrogates, no NaN."""
    try:
        value = json.loads(data or b"{}", parse_constant=_no_constant)
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, RecursionError) as error:
        raise ProtocolError("an object's data is not JSON") from error
    if not isinstance(value, dict) or _NUL.search(text):
        raise ProtocolError("an object's data is not a JSON object that can be stored")
    return text


def _no_constant(name: str) -> object:
    raise ValueError(name)


def refused(error: ArcBridgeError) -> bool:
    """Whether an inventory can never be stored, so that asking for it again would be a loop."""
    return error.code is ErrorCode.INVALID_REQUEST
