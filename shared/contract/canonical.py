"""Canonical JSON and digests: the same content has the same bytes, in every part and release.

Keys sorted by code point, no white space, UTF-8, no NaN: what RFC 8785 gives for the values that
occur here (numbers stay as they were parsed).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """The canonical bytes of a JSON value. Raises ValueError for NaN and infinities."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest_bytes(content: bytes) -> str:
    """`sha256:<hex>` of raw bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest(value: Any) -> str:
    """`sha256:<hex>` of a JSON value's canonical form."""
    return digest_bytes(canonical_json(value))
