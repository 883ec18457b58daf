"""psycopg's errors as ArcBridgeError, where they have a meaning for the caller.

What has none (a missing privilege, a broken statement) is a defect and passes through unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError

RETRY_CONTENDED_SECONDS = 0.2
RETRY_BUSY_SECONDS = 1.0
RETRY_DOWN_SECONDS = 2.0


@contextmanager
def mapped() -> Iterator[None]:
    """Raise ArcBridgeError in place of the database errors that a caller can act on."""
    try:
        yield
    except psycopg.Error as error:
        found = translate(error)
        if found is None:
            raise
        raise found from error
    except UnicodeEncodeError as error:
        raise ArcBridgeError(
            ErrorCode.INVALID_REQUEST, "the text holds characters that cannot be stored"
        ) from error


def translate(error: psycopg.Error) -> ArcBridgeError | None:
    """The meaning of a database error; None for a defect of ours."""
    match error:
        case pg.UniqueViolation():
            return ArcBridgeError(ErrorCode.ALREADY_EXISTS, "it exists already")
        case pg.SerializationFailure() | pg.DeadlockDetected():
            return _unavailable("another change came first", RETRY_CONTENDED_SECONDS)
        case pg.LockNotAvailable() | pg.QueryCanceled():
            return _unavailable("the database is busy", RETRY_BUSY_SECONDS)
        case pg.DiskFull() | pg.ReadOnlySqlTransaction():
            return _unavailable("the database takes no writes", RETRY_DOWN_SECONDS)
        case PoolTimeout():
            return _unavailable("every database connection is in use", RETRY_BUSY_SECONDS)
        case pg.OperationalError() | pg.InterfaceError():
            return _unavailable("the database does not answer", RETRY_DOWN_SECONDS)
        case pg.DataError():
            return ArcBridgeError(ErrorCode.INVALID_REQUEST, "a value cannot be stored")
        case _:
            return None


@contextmanager
def rows_from_outside() -> Iterator[None]:
    """Raise InvalidRequest for rows that break a constraint, where they come from a file.

    Anywhere else such a row is a defect of ours, and passes through.
    """
    try:
        yield
    except psycopg.IntegrityError as error:
        constraint = error.diag.constraint_name or error.diag.column_name or "a constraint"
        raise ArcBridgeError(
            ErrorCode.INVALID_REQUEST, f"a record breaks {constraint} of {error.diag.table_name}"
        ) from error


def timed_out() -> ArcBridgeError:
    """The error for a transaction that reached its deadline on our side."""
    return _unavailable("the database did not answer in time", RETRY_DOWN_SECONDS)


def crowded_out() -> ArcBridgeError:
    """The error for a transaction of a kind of which too many are under way."""
    return _unavailable("too many of these at once", RETRY_BUSY_SECONDS)


def _unavailable(detail: str, seconds: float) -> ArcBridgeError:
    return ArcBridgeError(ErrorCode.UNAVAILABLE, detail, retry_after=seconds)
