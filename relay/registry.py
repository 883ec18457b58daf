"""The streams of this process, at most one for each cluster: the one with the highest epoch.

Wake-ups for a cluster whose stream is just being admitted would find nobody; so an admission is
announced, and what comes meanwhile is remembered until it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from relay.endings import Ending
from relay.stream import Stream
from shared.services.cluster_key import ClusterKey


class Registry:
    """Cluster -> its stream here."""

    def __init__(self) -> None:
        self.empty = asyncio.Event()
        """Set while no stream is here."""
        self.empty.set()
        self._streams: dict[ClusterKey, Stream] = {}
        self._expected: dict[ClusterKey, int] = {}
        self._newest_seen: dict[ClusterKey, int] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def get(self, key: ClusterKey) -> Stream | None:
        """The cluster's stream, where this process has it."""
        return self._streams.get(key)

    def all(self) -> list[Stream]:
        """Every stream, as it is now."""
        return list(self._streams.values())

    @contextmanager
    def expecting(self, key: ClusterKey) -> Iterator[None]:
        """Remember what is heard of newer epochs while the cluster's stream is being admitted."""
        self._expected[key] = self._expected.get(key, 0) + 1
        try:
            yield
        finally:
            self._expected[key] -= 1
            if not self._expected[key]:
                del self._expected[key]
                self._newest_seen.pop(key, None)

    def add(self, stream: Stream) -> None:
        """The stream is the cluster's, unless a newer one is or comes; the older one ends."""
        before = self._streams.get(stream.key)
        if before is not None and before.epoch > stream.epoch:
            stream.end(_older(stream, before))
            return
        if before is not None:
            before.end(_older(before, stream))
        self._streams[stream.key] = stream
        self.empty.clear()
        if self._newest_seen.get(stream.key, 0) > stream.epoch:
            stream.end(Ending.SUPERSEDED)

    def remove(self, stream: Stream) -> None:
        """The stream has ended; one that took its place stays."""
        if self._streams.get(stream.key) is stream:
            del self._streams[stream.key]
            if not self._streams:
                self.empty.set()

    def superseded(self, key: ClusterKey, epoch: int) -> None:
        """The cluster's newest epoch is this one: what is older ends. From Postgres only."""
        if key in self._expected:
            self._newest_seen[key] = max(epoch, self._newest_seen.get(key, 0))
        stream = self._streams.get(key)
        if stream is not None and stream.epoch < epoch:
            stream.end(Ending.SUPERSEDED)

    def forgotten(self, key: ClusterKey, epoch: int) -> None:
        """Postgres does not know this epoch any more: it was restored. The stream opens anew."""
        stream = self._streams.get(key)
        if stream is not None and stream.epoch == epoch:
            stream.end(Ending.FORGOTTEN)

    def suspects(self, clusters: Iterable[tuple[ClusterKey, int]]) -> list[ClusterKey]:
        """Those clusters with something here that would be older than the epoch given."""
        return [
            key
            for key, epoch in clusters
            if key in self._expected
            or ((stream := self._streams.get(key)) is not None and stream.epoch < epoch)
        ]

    def epochs(self, keys: Iterable[ClusterKey] | None = None) -> dict[ClusterKey, int]:
        """The epochs held here, of all clusters or of these; 0 while one is being admitted."""
        if keys is None:
            return {key: stream.epoch for key, stream in self._streams.items()}
        return {key: stream.epoch if (stream := self._streams.get(key)) else 0 for key in keys}


def _older(older: Stream, newer: Stream) -> Ending:
    """How a stream ends that another one follows here."""
    same = older.instance_id == newer.instance_id
    return Ending.REPLACED if same else Ending.SUPERSEDED
