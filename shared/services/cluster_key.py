"""How a cluster is named on the hot path: tenant and id together, also as one text.

The text form `<tenant>/<cluster id>` is a Redis hash field and stands in wake-ups. It comes back
from a server that anyone inside the network may have written to, so parsing is strict.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Self
from uuid import UUID

_TEXT = re.compile(
    r"([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)


class ClusterKey(NamedTuple):
    """The primary key of a cluster; sorts as the database sorts it."""

    tenant: str
    cluster_id: UUID

    def __str__(self) -> str:
        return f"{self.tenant}/{self.cluster_id}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The key in `text`, or None for anything that `str` of a key would not give."""
        match = _TEXT.fullmatch(text)
        return cls(match[1], UUID(match[2])) if match else None
