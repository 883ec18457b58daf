"""One transaction: runs named queries and gives back rows. It never commits by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import AsyncConnection

from shared.store.errors import mapped
from shared.store.queries import Query

Row = dict[str, Any]


class Transaction:
    """The open transaction of `Database.tenant` or `Database.platform`.

    Every method raises ArcBridgeError: Unavailable when the database cannot serve now,
    AlreadyExists for a duplicate key, InvalidRequest for a value that cannot be stored.
    """

    def __init__(self, connection: AsyncConnection[Row]) -> None:
        self._connection = connection

    async def all(self, query: Query, **params: object) -> list[Row]:
        """Every row."""
        with mapped():
            cursor = await self._connection.execute(query.sql, params)
            return await cursor.fetchall()

    async def one(self, query: Query, **params: object) -> Row | None:
        """The first row, or None."""
        with mapped():
            cursor = await self._connection.execute(query.sql, params)
            return await cursor.fetchone()

    async def value(self, query: Query, **params: object) -> Any:
        """The first column of the first row, or None."""
        row = await self.one(query, **params)
        return None if row is None else next(iter(row.values()))

    async def execute(self, query: Query, **params: object) -> int:
        """Run it; the number of rows it changed."""
        with mapped():
            cursor = await self._connection.execute(query.sql, params)
            return cursor.rowcount

    async def many(self, query: Query, rows: Iterable[Mapping[str, object]]) -> int:
        """Run it once for each mapping, in one round trip; the rows changed in all."""
        with mapped():
            cursor = self._connection.cursor()
            await cursor.executemany(query.sql, rows)
            return cursor.rowcount
