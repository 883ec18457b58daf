"""A cluster's durable log: one line per change, so that SIGKILL loses nothing acknowledged.

Each line is written with one unbuffered write before the request is answered; the operating
system keeps it when the process dies (a power cut may lose the tail: this is a simulator). The
file is rewritten as a snapshot when it has grown well past the live objects.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Final

from dev.kube.resources import StorageKey
from dev.kube.schema import Json
from dev.kube.store import DELETED, Change, Store

_COMPACT_AFTER: Final = 2000
_COMPACT_RATIO: Final = 4


class Journal:
    """Appends the changes of one store to one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._lines = 0

    def load(self, store: Store) -> None:
        """Bring `store` to the state of the file; a torn last line was never acknowledged."""
        live: dict[tuple[StorageKey, str, str], Json] = {}
        version = store.version
        for entry in self._entries():
            version = max(version, entry["v"])
            group, plural, namespace, name = entry["k"]
            key = ((group, plural), namespace, name)
            if "o" in entry:
                live[key] = entry["o"]
            else:
                live.pop(key, None)
        for (storage, _, _), obj in live.items():
            store.restore(storage, obj)
        store.version = version
        for bucket in store.buckets.values():
            bucket.oldest = version
        if self._lines:
            self.compact(store)

    def _entries(self) -> list[Json]:
        found: list[Json] = []
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_bytes().splitlines():
                try:
                    found.append(json.loads(line))
                except ValueError:
                    break
        self._lines = len(found)
        return found

    def record(self, change: Change, store: Store) -> None:
        """Write one change; on return it survives the death of this process.

        It is told before `store` holds the change, so a compaction comes first.
        """
        if self._lines and self._lines % _COMPACT_AFTER == 0:
            alive = sum(len(bucket.records) for bucket in store.buckets.values())
            if self._lines > _COMPACT_RATIO * alive:
                self.compact(store)
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = os.open(self._path, flags, 0o600)
        body = None if change.type == DELETED else change.record.body
        os.write(self._file, _line(change.version, change.storage, change.record.key, body))
        self._lines += 1

    def compact(self, store: Store) -> None:
        """Replace the file by one line per live object."""
        self.close()
        partial = self._path.with_suffix(".partial")
        lines = 0
        with partial.open("wb") as file:
            for storage, bucket in store.buckets.items():
                for key, record in bucket.records.items():
                    file.write(_line(record.version, storage, key, record.body))
                    lines += 1
            file.write(_line(store.version, ("", ""), ("", ""), None))
        partial.replace(self._path)
        self._lines = lines + 1

    def close(self) -> None:
        """Close the file; the next change opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _line(version: int, storage: StorageKey, key: tuple[str, str], body: bytes | None) -> bytes:
    head = json.dumps([*storage, *key], separators=(",", ":")).encode()
    tail = b',"o":' + body if body is not None else b""
    return b'{"v":%d,"k":%s%s}\n' % (version, head, tail)
