"""The inventory at one moment, and what changed between two. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shared.contract.canonical import canonical_json
from shared.contract.limits import INVENTORY_BYTES
from shared.rpc.codec import inventory_checksum
from shared.rpc.v1 import relay_pb2 as pb

Key = tuple[str, str, str]
"""Kind, namespace, name."""
_OBJECT_OVERHEAD_BYTES = 32
_DATA_BYTES_MAX = 8 * 1024


@dataclass(frozen=True)
class Snapshot:
    """Every object with its canonical data, and whether some had to be left out."""

    objects: Mapping[Key, bytes]
    left_out: int = 0

    @cached_property
    def checksum(self) -> str:
        """As the relay computes it."""
        return inventory_checksum(self.messages())

    def messages(self) -> list[pb.InventoryObject]:
        """The objects, as the stream carries them."""
        return [message(key, data) for key, data in self.objects.items()]


@dataclass(frozen=True)
class Difference:
    """From one snapshot to the next."""

    added: tuple[pb.InventoryObject, ...]
    changed: tuple[pb.InventoryObject, ...]
    removed: tuple[pb.InventoryObject, ...]


def take(described: Iterable[tuple[Key, dict[str, Any]]], limit: int = INVENTORY_BYTES) -> Snapshot:
    """A snapshot of the objects, in their order, as many as the limit in bytes allows."""
    objects: dict[Key, bytes] = {}
    left_out = 0
    for key, data in described:
        content = canonical_json(data)
        if len(content) > _DATA_BYTES_MAX:
            content = b"{}"
        size = sum(len(part) for part in key) + len(content) + _OBJECT_OVERHEAD_BYTES
        if size > limit:
            left_out += 1
            continue
        limit -= size
        objects[key] = content
    return Snapshot(objects, left_out)


def difference(before: Snapshot, after: Snapshot) -> Difference:
    """What makes `after` of `before`."""
    old, new = before.objects, after.objects
    return Difference(
        added=tuple(message(k, v) for k, v in new.items() if k not in old),
        changed=tuple(message(k, v) for k, v in new.items() if k in old and old[k] != v),
        removed=tuple(message(k, b"") for k in old if k not in new),
    )


def newest_releases(
    revisions: Iterable[tuple[Key, dict[str, Any]]],
) -> dict[Key, dict[str, Any]]:
    """Helm keeps a Secret per revision, `sh.helm.release.v1.NAME.vN`: one entry per release."""
    newest: dict[Key, dict[str, Any]] = {}
    for (kind, namespace, name), data in revisions:
        release = name.removeprefix("sh.helm.release.v1.").rpartition(".v")[0] or name
        key = (kind, namespace, release)
        if key not in newest or newest[key]["revision"] < data["revision"]:
            newest[key] = data
    return newest


def message(key: Key, data: bytes) -> pb.InventoryObject:
    """One object, as the stream carries it."""
    kind, namespace, name = key
    return pb.InventoryObject(kind=kind, namespace=namespace, name=name, data=data)
