"""UUIDv7 (RFC 9562 section 5.7) from a time and random bytes that the caller brings."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

RANDOM_BYTES = 10


def uuid7(now: datetime, random_bytes: bytes) -> UUID:
    """A UUIDv7 of `now`'s millisecond and 10 random bytes. Raises ValueError for fewer."""
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"a UUIDv7 needs {RANDOM_BYTES} random bytes")
    value = (int(now.timestamp() * 1000) & ((1 << 48) - 1)) << 80
    value |= int.from_bytes(random_bytes)
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return UUID(int=value)
