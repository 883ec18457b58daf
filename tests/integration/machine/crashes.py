"""A database whose process dies at a commit: before it, or after it with the answer lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from shared.store.database import Database
from shared.store.transaction import Transaction


class Moment(Enum):
    BEFORE_COMMIT = "before"
    AFTER_COMMIT = "after"


class CrashError(BaseException):
    """Like a kill: no handler of errors may take it for one."""


class CrashingDatabase:
    """The store's transactions; one of them, counted from `arm` on, does not come to its end."""

    def __init__(self, real: Database) -> None:
        self._real = real
        self._left = 0
        self._moment = Moment.BEFORE_COMMIT

    def arm(self, commits: int, moment: Moment) -> None:
        """Crash at this many commits from now."""
        self._left, self._moment = commits, moment

    def disarm(self) -> None:
        self._left = 0

    @asynccontextmanager
    async def tenant(
        self, tenant_id: str, *, seconds: float | None = None
    ) -> AsyncIterator[Transaction]:
        crashes: Moment | None = None
        async with self._real.tenant(tenant_id, seconds=seconds) as transaction:
            yield transaction
            crashes = self._reached()
            if crashes is Moment.BEFORE_COMMIT:
                raise CrashError(tenant_id)
        if crashes is Moment.AFTER_COMMIT:
            raise CrashError(tenant_id)

    @asynccontextmanager
    async def platform(self, *, seconds: float | None = None) -> AsyncIterator[Transaction]:
        async with self._real.platform(seconds=seconds) as transaction:
            yield transaction

    def _reached(self) -> Moment | None:
        if not self._left:
            return None
        self._left -= 1
        return None if self._left else self._moment
