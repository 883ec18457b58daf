"""Independent pieces of a timer's run: one that fails does not keep the others from being done.

A piece for which the database has no room now is left to the next run. Any other failure is logged
where it happened and raised when all the rest is done, so that the run counts as failed: what one
tenant has stored must never stop the rollouts of another.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError


class Apart:
    """Collects the failures of a run."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._failures: list[Exception] = []

    @contextmanager
    def piece(self, name: str, **fields: object) -> Iterator[None]:
        """Around one piece; `fields` say in the log which one it was. Cancellation goes through."""
        try:
            yield
        except Exception as error:
            if isinstance(error, ArcBridgeError) and error.code is ErrorCode.UNAVAILABLE:
                self._log.warning(f"{name}.unavailable", extra={**fields, "detail": error.detail})
                return
            self._log.exception(f"{name}.failed", extra=fields)
            self._failures.append(error)

    def raise_failures(self) -> None:
        """At the end of the run. Raises ExceptionGroup when a piece failed."""
        if self._failures:
            raise ExceptionGroup("parts of the run failed", self._failures)
