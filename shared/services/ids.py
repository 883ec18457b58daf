"""New ids: UUIDv7, so that they sort by time. The pure part is `shared.domain.ids`."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from uuid import UUID

from shared.domain.ids import RANDOM_BYTES, uuid7


def new_id() -> UUID:
    """A new UUIDv7."""
    return uuid7(datetime.now(UTC), secrets.token_bytes(RANDOM_BYTES))
