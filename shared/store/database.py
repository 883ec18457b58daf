"""The connection pool, and transactions in one of two roles.

Each transaction takes its role and its tenant with `set_config(…, true)`, so both end with it and a
connection can be shared through PgBouncer in transaction mode. The login role owns nothing and
inherits nothing: outside of `tenant` and `platform` it cannot read a row.

Two limits stand against a database that hangs: its own statement and lock timeouts, and a deadline
on this side for the case that it cannot even tell the time. When the deadline fires, psycopg tries
to cancel the statement and closes the connection if that fails, which takes 10 s at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from shared.store.errors import crowded_out, mapped, timed_out
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

APP_ROLE = "arcbridge_app"
PLATFORM_ROLE = "arcbridge_platform"

_Q = load("store")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many connections, and how long anything may take."""

    min_connections: int = 1
    max_connections: int = 10
    max_crowded: int = 3
    """Of these, how many transactions may have at once that queue up behind each other anyway (for
    a tenant's quota, for the end of its audit trail): the others stay free for the rest."""
    crowd_seconds: float = 10.0
    """For waiting until one of these may begin; nothing is held meanwhile."""
    connect_seconds: float = 5.0
    """For one connection, and for waiting on the pool."""
    statement_seconds: float = 10.0
    """The server's limit on a statement."""
    lock_seconds: float = 4.0
    """The server's limit on waiting for a lock."""
    transaction_seconds: float = 15.0
    """Our limit on a whole transaction, and the server's on one that is left idle."""
    connection_age_seconds: float = 3000.0
    """A connection is replaced before an Entra token (60 to 90 minutes) of its login ends."""


class Database:
    """Transactions on PostgreSQL; made once per process by `open`."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Row]], limits: Limits) -> None:
        self._pool = pool
        self._limits = limits
        self._crowd = asyncio.Semaphore(limits.max_crowded)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        *,
        password: Callable[[], Awaitable[str]] | None = None,
        limits: Limits | None = None,
        name: str = "arcbridge",
    ) -> AsyncIterator[Database]:
        """The pool for the length of the block.

        `password` is asked at each new connection (an Entra token; whoever gives it caches it).
        The database need not answer yet: transactions raise Unavailable until it does.
        """
        limits = limits or Limits()
        pool = AsyncConnectionPool(
            dsn,
            connection_class=AsyncConnection[Row],
            kwargs=_connection_options(limits, name, password),
            min_size=limits.min_connections,
            max_size=limits.max_connections,
            timeout=limits.connect_seconds,
            max_lifetime=limits.connection_age_seconds,
            # A database that was away for long must be found again within seconds of its return.
            reconnect_timeout=limits.connect_seconds,
            open=False,
            name=name,
        )
        await pool.open(wait=False)
        try:
            yield cls(pool, limits)
        finally:
            await pool.close(timeout=limits.connect_seconds)

    @asynccontextmanager
    async def tenant(
        self, tenant_id: str, *, seconds: float | None = None, crowded: bool = False
    ) -> AsyncIterator[Transaction]:
        """A transaction that sees one tenant. Commits at the end of the block, rolls back on error.

        `tenant_id` comes from a credential, never from a path. `seconds` replaces the limits on
        the transaction and its statements, for work that is known to be long. `crowded`: of many
        such transactions at once most would only wait for each other, holding a connection each:
        `Limits.max_crowded` get one. Raises Unavailable when none is free in time.
        """
        if not tenant_id:
            raise ValueError("a tenant's transaction needs the tenant")
        async with AsyncExitStack() as stack:
            if crowded:
                await stack.enter_async_context(self._place_in_the_crowd())
            yield await stack.enter_async_context(self._transaction(APP_ROLE, tenant_id, seconds))

    @asynccontextmanager
    async def _place_in_the_crowd(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.crowd_seconds):
                await self._crowd.acquire()
        except TimeoutError as error:
            raise crowded_out() from error
        try:
            yield
        finally:
            self._crowd.release()

    @asynccontextmanager
    async def platform(self, *, seconds: float | None = None) -> AsyncIterator[Transaction]:
        """A transaction that sees every tenant: for timers, the relay, and finding a credential."""
        async with self._transaction(PLATFORM_ROLE, "", seconds) as transaction:
            yield transaction

    async def ping(self) -> None:
        """Raise ArcBridgeError Unavailable when the database does not answer."""
        async with self.platform(seconds=self._limits.connect_seconds) as transaction:
            await transaction.one(_Q.ping)

    def measure(self) -> dict[str, int]:
        """The pool's counters (`pool_size`, `pool_available`, `requests_waiting`, …)."""
        return self._pool.get_stats()

    @asynccontextmanager
    async def _transaction(
        self, role: str, tenant: str, seconds: float | None
    ) -> AsyncIterator[Transaction]:
        deadline = asyncio.timeout(seconds or self._limits.transaction_seconds)
        try:
            with mapped():
                async with deadline, AsyncExitStack() as stack:
                    connection = await self._begin(stack, self._entry(role, tenant, seconds))
                    yield Transaction(connection)
                    # Not left to the pool: it would not say that a lost connection took it along.
                    await connection.commit()
        except TimeoutError as error:
            # Only ours: a TimeoutError of the block itself is the block's business.
            if deadline.expired():
                raise timed_out() from error
            raise

    async def _begin(self, stack: AsyncExitStack, entry: Mapping[str, str]) -> AsyncConnection[Row]:
        """A connection with an open transaction; both end with the stack, rolled back on error.

        A connection that died in the pool is given back and another one taken: nothing has been
        done in it yet, so that is safe.
        """
        for _ in range(self._limits.max_connections + 1):
            attempt = AsyncExitStack()
            async with attempt:
                connection = await attempt.enter_async_context(self._pool.connection())
                try:
                    # Two statements in one message: every transaction saves a round trip.
                    await AsyncClientCursor(connection).execute(_Q.enter.sql, entry)
                except psycopg.OperationalError:
                    if not connection.broken:
                        raise
                    continue
                await stack.enter_async_context(attempt.pop_all())
                return connection
        raise psycopg.OperationalError("every connection of the pool was dead")

    def _entry(self, role: str, tenant: str, seconds: float | None) -> dict[str, str]:
        return {
            "role": role,
            "tenant": tenant,
            "statement_timeout": _milliseconds(seconds or self._limits.statement_seconds),
            "lock_timeout": _milliseconds(self._limits.lock_seconds),
            "idle_timeout": _milliseconds(seconds or self._limits.transaction_seconds),
        }


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


def _connection_options(
    limits: Limits, name: str, password: Callable[[], Awaitable[str]] | None
) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def options() -> dict[str, Any]:
        found: dict[str, Any] = {
            # Prepared statements do not survive PgBouncer's transaction mode.
            "prepare_threshold": None,
            "autocommit": True,
            "row_factory": dict_row,
            "application_name": name,
            "connect_timeout": round(limits.connect_seconds),
        }
        if password is not None:
            found["password"] = await password()
        return found

    return options
