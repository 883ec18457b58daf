"""Between the contract's types and the stream's messages: times, and the inventory's form.

Both sides of the stream use this module, so that a checksum made by an agent is the one the relay
makes of the same objects. It opens no connection and knows nothing of sessions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from shared.contract.limits import INVENTORY_CHUNK_BYTES
from shared.rpc.v1 import relay_pb2 as pb

_OBJECT_OVERHEAD_BYTES = 8
"""Tag and length in front of a repeated message: less than this for one of up to 1 MiB."""
_CHUNK_HEADER_BYTES = 128
"""Number, flag and checksum of a chunk."""


def to_timestamp(moment: datetime) -> Timestamp:
    """A protobuf Timestamp of an aware datetime. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a time on the stream needs its offset")
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def from_timestamp(stamp: Timestamp) -> datetime | None:
    """The aware datetime in UTC; None for one that was not set or lies outside of years 1 to 9999.

    An agent's clock is somebody else's: what it sends is never trusted to be a date.
    """
    if stamp.seconds == 0 and stamp.nanos == 0:
        return None
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def inventory_checksum(objects: Iterable[pb.InventoryObject]) -> str:
    """`sha256:<hex>` of a whole inventory; the order of the objects does not matter.

    Made of one line per object, sorted: kind, namespace, name and the SHA-256 of the data's bytes,
    separated by tabs. An object's data is canonical JSON (`shared.contract.canonical`).
    """
    lines = sorted(
        f"{item.kind}\t{item.namespace}\t{item.name}\t{hashlib.sha256(item.data).hexdigest()}"
        for item in objects
    )
    return f"sha256:{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"


def inventory_chunks(objects: Iterable[pb.InventoryObject]) -> Iterator[pb.InventoryFull]:
    """The inventory as the messages that carry it, each of INVENTORY_CHUNK_BYTES at most.

    There is always at least one. Raises ValueError for an object that fits into no chunk.
    """
    every = tuple(objects)
    checksum = inventory_checksum(every)
    parts = list(_partition(every))
    for number, part in enumerate(parts):
        yield pb.InventoryFull(
            chunk=number, last=number == len(parts) - 1, checksum=checksum, objects=part
        )


def _partition(objects: tuple[pb.InventoryObject, ...]) -> Iterator[list[pb.InventoryObject]]:
    part: list[pb.InventoryObject] = []
    room = INVENTORY_CHUNK_BYTES - _CHUNK_HEADER_BYTES
    left = room
    for item in objects:
        size = item.ByteSize() + _OBJECT_OVERHEAD_BYTES
        if size > room:
            raise ValueError(f"{item.kind} {item.namespace}/{item.name} fits into no chunk")
        if size > left:
            yield part
            part, left = [], room
        part.append(item)
        left -= size
    yield part
