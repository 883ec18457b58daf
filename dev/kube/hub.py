"""Calls the controllers of one cluster: after changes, and when a delay has passed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from dev.kube.resources import ObjectKey
from dev.kube.store import Change

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

log = logging.getLogger(__name__)

Reconcile = Callable[["Cluster", ObjectKey], None]
Task = tuple[Reconcile, ObjectKey]
Router = Callable[["Cluster", Change], Iterable[Task]]
#: Reconciliations run in one turn of the event loop, so that requests are not starved.
_BATCH: Final = 20
_RETRY_SECONDS: Final = 1.0


class Hub:
    """A queue without duplicates, and the timers of the event loop."""

    def __init__(self, cluster: Cluster, route: Router) -> None:
        self._cluster = cluster
        self._route = route
        self._queue: dict[Task, None] = {}
        self._timers: dict[Task, asyncio.TimerHandle] = {}
        self._scheduled: asyncio.Handle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to run what is queued, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._wake()

    def stop(self) -> None:
        """Run nothing more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._queue.clear()
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._loop = None

    def note(self, change: Change) -> None:
        """Queue the controllers that a change concerns."""
        for reconcile, key in self._route(self._cluster, change):
            self.add(reconcile, key)

    def add(self, reconcile: Reconcile, key: ObjectKey) -> None:
        """Queue one reconciliation."""
        self._queue[reconcile, key] = None
        self._wake()

    def add_after(self, seconds: float, reconcile: Reconcile, key: ObjectKey) -> None:
        """Queue one reconciliation after a delay; an earlier timer for the same is kept."""
        if self._loop is None:
            return
        task, due = (reconcile, key), self._loop.time() + max(seconds, 0.0)
        standing = self._timers.get(task)
        if standing is not None:
            if standing.when() <= due:
                return
            standing.cancel()
        self._timers[task] = self._loop.call_at(due, self._ring, task)

    def time(self) -> float:
        """The event loop's clock, in seconds."""
        return self._loop.time() if self._loop is not None else 0.0

    def _ring(self, task: Task) -> None:
        self._timers.pop(task, None)
        self.add(*task)

    def _wake(self) -> None:
        if self._queue and self._scheduled is None and self._loop is not None:
            self._scheduled = self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._scheduled = None
        for _ in range(min(_BATCH, len(self._queue))):
            reconcile, key = next(iter(self._queue))
            del self._queue[reconcile, key]
            try:
                reconcile(self._cluster, key)
            except Exception:
                # A controller must not take the API server down with it: log, try again later.
                log.exception(
                    "controller failed",
                    extra={"controller": reconcile.__name__, "cluster": self._cluster.name},
                )
                self.add_after(_RETRY_SECONDS, reconcile, key)
        self._wake()
