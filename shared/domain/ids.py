"""UUIDv7 from a given time and given random bytes, so that ids can be repeated in tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

RANDOM_BYTES = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def uuid7(now: datetime, random_bytes: bytes) -> UUID:
    """RFC 9562 section 5.7: 48 bits of Unix milliseconds, then 74 random bits.

    `now` is aware; `random_bytes` are `RANDOM_BYTES` bytes. Raises ValueError for fewer or more.
    """
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"a UUIDv7 takes {RANDOM_BYTES} random bytes, not {len(random_bytes)}")
    millis = (now - _EPOCH) // timedelta(milliseconds=1) & (2**48 - 1)
    rest = int.from_bytes(random_bytes, "big")
    value = millis << 80 | 0x7 << 76 | (rest >> 68 & 0xFFF) << 64 | 0b10 << 62 | rest & (2**62 - 1)
    return UUID(int=value)
