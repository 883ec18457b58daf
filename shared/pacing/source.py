"""The seam between who asks for tokens and where the buckets stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.pacing.gcra import Rate


@dataclass(frozen=True, slots=True)
class Bucket:
    """One named bucket. Buckets that are taken from together share a hash tag in their keys."""

    key: str
    rate: Rate
    starts_full: bool = False
    """What a bucket nobody knows holds. Pacing starts empty, so that losing the buckets releases
    nothing too much; a rate limit on calls starts full, so that losing them refuses no caller."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What was given: `count` tokens out of every bucket, and seconds until there is one more."""

    count: int
    retry_after: float


class TokenSource(Protocol):
    """Buckets that any number of processes take from at once."""

    async def take(self, buckets: Sequence[Bucket], wanted: int) -> Grant:
        """Take as many as all buckets hold, `wanted` at most, out of all of them or of none.

        Raises ArcBridgeError Unavailable when the buckets cannot be reached: then nothing is given.
        """
        ...

    async def fill(self, bucket: Bucket) -> None:
        """Make a new bucket full; one that exists stays as it is."""
        ...
