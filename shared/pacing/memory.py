"""Buckets in this process: for tests, simulations, and the reading of a plan's timeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.pacing import gcra
from shared.pacing.source import Bucket, Grant


class MemoryTokens:
    """A TokenSource over a dictionary and the given clock (seconds)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start with no bucket known."""
        self._clock = clock
        self._levels: dict[str, gcra.Level] = {}

    async def take(self, buckets: Sequence[Bucket], wanted: int) -> Grant:
        """See TokenSource."""
        return self.take_now(buckets, wanted)

    async def fill(self, bucket: Bucket) -> None:
        """See TokenSource."""
        self.fill_now(bucket)

    def fill_now(self, bucket: Bucket) -> None:
        """`fill` without a loop."""
        self._levels.setdefault(bucket.key, gcra.full(bucket.rate, self._clock()))

    def take_now(self, buckets: Sequence[Bucket], wanted: int) -> Grant:
        """`take` without a loop: nothing here waits."""
        now = self._clock()
        levels = {bucket.key: self._level(bucket, now) for bucket in buckets}
        held = [gcra.available(levels[b.key], b.rate, now) for b in buckets]
        count = max(0, min([wanted, *held]))
        for bucket in buckets:
            self._levels[bucket.key] = gcra.take(levels[bucket.key], bucket.rate, count, now)
        waits = (gcra.wait(self._levels[b.key], b.rate, now) for b in buckets)
        return Grant(count, max(waits, default=0.0))

    def lose_all(self) -> None:
        """Forget every bucket, as a restarted Redis does."""
        self._levels.clear()

    def _level(self, bucket: Bucket, now: float) -> gcra.Level:
        start = gcra.full if bucket.starts_full else gcra.empty
        return self._levels.get(bucket.key) or start(bucket.rate, now)
