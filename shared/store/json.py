"""JSON values as parameters: `jsonb(value)` binds any JSON-ready value to a `jsonb` column."""

from __future__ import annotations

from psycopg.types.json import Jsonb


def jsonb(value: object) -> Jsonb:
    """A parameter for a `jsonb` column. Rows come back as plain Python values."""
    return Jsonb(value)
