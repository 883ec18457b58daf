"""What the agent must not forget, kept off the event loop, and told to those who wait for news.

Overflow: the number and size of waiting events are bounded. When a new event goes over, events
that a newer one of the same extension outdates are dropped, Applying first, oldest first; the
newest state and the newest drift of an extension are never dropped. When the disk is full, a
write waits and tries again: work that could not be accounted for is not begun.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from agent.backoff import Backoff
from agent.clock import Clock
from agent.ids import RANDOM_BYTES, uuid7
from agent.journal.store import JournalLimits, JournalStore, JournalUnwritable, Totals
from agent.lease.record import Term
from agent.reconcile.seam import EventDraft
from shared.contract.desired import DesiredDocument
from shared.contract.status import StatusEvent
from shared.telemetry.logs import get_logger

log = get_logger(__name__)
T = TypeVar("T")
_FULL_DISK = Backoff(base_seconds=1.0, cap_seconds=30.0, floor_seconds=0.5)


class Journal:
    """The durable memory of one cluster's agent; also the engine's StatusSink."""

    def __init__(self, store: JournalStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # One thread: SQLite's calls stay in order, and a slow disk never blocks the loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._totals = store.totals()
        self._document = _read_document(store)
        self._epoch = int(store.get("epoch") or 0)
        self._acknowledged = int(store.get("acknowledged") or 0)
        self.news = asyncio.Event()
        """Set when an event was recorded; cleared by who waits for it."""
        self.writable = True
        """False while the disk refuses writes."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, directory: Path, clock: Clock, limits: JournalLimits | None = None
    ) -> AsyncIterator[Journal]:
        """The journal of a state directory. Raises JournalUnwritable."""
        store = await asyncio.to_thread(JournalStore, directory, limits or JournalLimits())
        journal = cls(store, clock)
        try:
            yield journal
        finally:
            journal._thread.shutdown(wait=True)
            store.close()

    @property
    def document(self) -> DesiredDocument | None:
        """The last complete desired document."""
        return self._document

    @property
    def epoch(self) -> int:
        """The last session epoch that a relay granted; 0 for none."""
        return self._epoch

    @property
    def acknowledged(self) -> int:
        """The highest sequence that was acknowledged to this journal; 0 for none."""
        return self._acknowledged

    @property
    def totals(self) -> Totals:
        """What waits to be acknowledged."""
        return self._totals

    async def begin_term(self, term: Term) -> None:
        """Forget document and events if another replica led since they were written.

        To act on them would undo what it did, and to report them would hide what it reported.
        Both are had again: the document from the control plane, the state from the cluster.
        """
        if not await self._write(lambda: self._store.begin_term(term)):
            log.info("another replica led meanwhile, the journal begins anew", term=term.to_text())
            self._document = None
            self._acknowledged = 0

    async def record(self, draft: EventDraft) -> None:
        """Return once the event is durable."""

        def append() -> int:
            now = self._clock.now()
            event_id = uuid7(now, secrets.token_bytes(RANDOM_BYTES))
            return self._store.append(draft.to_event(event_id, self._store.next_sequence(), now))

        dropped = await self._write(append)
        if dropped:
            log.warning("journal is full, superseded events dropped", events=dropped)
        self.news.set()

    async def keep_document(self, document: DesiredDocument) -> None:
        """Return once the document is durable; only then may anyone act on it."""
        await self._write(
            lambda: self._store.put("document", document.model_dump_json(exclude_none=True))
        )
        self._document = document

    async def forget_document(self) -> None:
        """The document was another cluster's."""
        await self._write(lambda: self._store.put("document", ""))
        self._document = None

    async def keep_epoch(self, epoch: int) -> None:
        """Return once the session's epoch is durable."""
        await self._write(lambda: self._store.put("epoch", str(epoch)))
        self._epoch = epoch

    async def pending(self, count: int) -> tuple[StatusEvent, ...]:
        """The oldest events that wait, in order."""
        return tuple(await self._run(lambda: self._store.pending(count)))

    async def acknowledge(self, sequence: int) -> None:
        """Forget every event up to `sequence`."""
        await self._write(lambda: self._store.acknowledge(sequence))
        self._acknowledged = max(self._acknowledged, sequence)

    async def drop(self, sequence: int) -> None:
        """Forget one event that will never be taken."""
        await self._write(lambda: self._store.drop(sequence))

    async def _write(self, work: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                result = await self._run(work)
            except JournalUnwritable as error:
                failures += 1
                self.writable = False
                log.warning("journal cannot be written", error=str(error), failures=failures)
                await self._clock.sleep(_FULL_DISK.delay(failures, random.random))
                continue
            self.writable = True
            self._totals = await self._run(self._store.totals)
            return result

    async def _run(self, work: Callable[[], T]) -> T:
        # Cancellation leaves the thread to finish: a commit is never cut in half, and the next
        # call queues behind it.
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _read_document(store: JournalStore) -> DesiredDocument | None:
    text = store.get("document")
    if not text:
        return None
    try:
        return DesiredDocument.model_validate_json(text)
    except ValidationError:
        log.warning("kept document is not readable, it will be fetched again")
        return None
