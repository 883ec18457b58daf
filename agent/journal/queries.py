"""Reads `queries.sql`: each statement stands under `-- name:` and a comment of its purpose."""

from __future__ import annotations

import re
from importlib.resources import files

_HEADER = re.compile(r"^-- name: (\w+)$", re.M)


def load_queries() -> dict[str, str]:
    """Every statement by its name."""
    _, *parts = _HEADER.split((files("agent.journal") / "queries.sql").read_text())
    return dict(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))
