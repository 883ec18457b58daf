"""Fetches the desired document: at a wake-up at once, and at intervals in case one got lost.

A document is made durable before anyone acts on it, so that a restart never falls back to an
older one. One that is incomplete, not signed by the control plane, older or not understood is
refused, and the one before stays in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from agent.api.client import ControlPlaneClient, UnusableDocument
from agent.api.errors import ControlPlaneRefused, ControlPlaneUnreachable
from agent.backoff import Backoff, Random, spread
from agent.clock import Clock
from agent.desired.signature import Signers, check_signed
from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.waiting import wait_for
from shared.contract.desired import DesiredDocument
from shared.telemetry.logs import get_logger
from shared.telemetry.tracing import Kind, span

log = get_logger(__name__)

POLL_SPREAD = 0.2


@dataclass
class Fetcher:
    """Keeps the journal's document the newest one."""

    client: ControlPlaneClient
    journal: Journal
    clock: Clock
    random: Random
    poll_seconds: float
    signers: Callable[[], Signers]
    """Whose documents count at that moment."""
    newest: Callable[[], datetime | None]
    """When the newest document was signed that was in force here; None counts as never."""
    on_document: Callable[[DesiredDocument], None]
    on_outcome: Callable[[AgentError | None], None]
    """Hears of each attempt: None for success."""
    backoff: Backoff = field(default_factory=lambda: Backoff(cap_seconds=60.0))
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)
    _cause: str | None = None
    _refused: bool = False
    """The newest answer was no document to act on."""

    def wake(self, traceparent: str | None = None) -> None:
        """Fetch soon; any number of calls until then make one fetch."""
        self._cause = traceparent or self._cause
        self._wake.set()

    def retry_now(self) -> None:
        """The control plane was heard of, and its time with it: a wait after failures need not go
        on, and what was refused may be judged otherwise."""
        self._heard.set()
        if self._refused:
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            # Cleared before the fetch: a wake-up during it means another fetch.
            self._wake.clear()
            error = await self._attempt()
            self.on_outcome(error)
            failures = 0 if error is None else failures + 1
            await self._wait(error, failures)

    async def _attempt(self) -> AgentError | None:
        cause, self._cause = self._cause, None
        try:
            if cause is None:
                # A poll that finds nothing belongs to no trace.
                await self._fetch()
            else:
                with span("desired fetch", parent=cause, kind=Kind.CLIENT):
                    await self._fetch()
        except (ControlPlaneUnreachable, ControlPlaneRefused, UnusableDocument) as error:
            log.warning("desired document could not be fetched", error=str(error))
            self._refused = isinstance(error, UnusableDocument)
            return error
        self._refused = False
        return None

    async def _fetch(self) -> None:
        held = self.journal.document
        document = await self.client.desired(held.digest if held else None)
        if document is None:
            return
        check_signed(document, self.newest(), self.signers(), self.clock.now())
        await self.journal.keep_document(document)
        log.info(
            "desired document taken", digest=document.digest, extensions=len(document.extensions)
        )
        self.on_document(document)

    async def _wait(self, error: AgentError | None, failures: int) -> None:
        """Until a wake-up, or the next poll. After a failure a wake-up does not shorten the wait:
        who cannot answer now is not asked faster; a stream that opens does, but for what the
        control plane itself asked to wait."""
        poll = spread(self.poll_seconds, POLL_SPREAD, self.random)
        if error is None or isinstance(error, UnusableDocument):
            await wait_for(self._wake, poll)
            return
        await self.clock.sleep(getattr(error, "retry_after", None) or 0.0)
        self._heard.clear()
        await wait_for(self._heard, self.backoff.delay(failures, self.random))
