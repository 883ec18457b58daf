"""Brings events to the control plane, in order, until each is acknowledged.

An event leaves the journal only when the control plane said that it is durable or refused for
good. A batch may arrive twice; the control plane knows events by (epoch, sequence).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from agent.api.client import ControlPlaneClient
from agent.api.errors import ControlPlaneRefused, ControlPlaneUnreachable
from agent.backoff import Backoff, Random
from agent.clock import Clock
from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.report.batch import next_batch
from agent.waiting import wait_for
from shared.contract.errors import ErrorCode
from shared.contract.limits import STATUS_EVENTS_PER_BATCH
from shared.contract.status import StatusAck, StatusBatch, StatusEvent
from shared.telemetry.logs import get_logger
from shared.telemetry.tracing import Kind, span

log = get_logger(__name__)

_POISONED = frozenset({ErrorCode.INVALID_REQUEST, ErrorCode.TOO_LARGE})
"""Refusals that are about the batch's content: it is cut in half until the event is found."""


@dataclass
class Reporter:
    """Posts what the journal holds."""

    client: ControlPlaneClient
    journal: Journal
    clock: Clock
    random: Random
    on_stale_epoch: Callable[[int], None]
    """A newer session exists than this epoch: the stream must be opened anew."""
    on_outcome: Callable[[AgentError | None], None]
    """Hears of each attempt: None for success."""
    on_reported: Callable[[int], None]
    """Hears how many events became durable at the control plane."""
    backoff: Backoff = field(default_factory=lambda: Backoff(cap_seconds=60.0))
    _heard: asyncio.Event = field(default_factory=asyncio.Event)
    _not_now: datetime | None = None
    _not_now_told: datetime | None = None
    _most: int = STATUS_EVENTS_PER_BATCH

    def tell_not_now(self, until: datetime | None) -> None:
        """The cluster asks to be left alone until then, or no longer asks."""
        self._not_now = until
        self.journal.news.set()

    def retry_now(self) -> None:
        """The control plane was heard of: a wait after failures need not go on."""
        self._heard.set()

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            self.journal.news.clear()
            events = next_batch(await self.journal.pending(self._most), most=self._most)
            if not events and self._not_now == self._not_now_told:
                await self.journal.news.wait()
                continue
            error = await self._attempt(events)
            self.on_outcome(error)
            failures = 0 if error is None else failures + 1
            if error is not None:
                await self.clock.sleep(getattr(error, "retry_after", None) or 0.0)
                self._heard.clear()
                await wait_for(self._heard, self.backoff.delay(failures, self.random))

    async def _attempt(self, events: tuple[StatusEvent, ...]) -> AgentError | None:
        not_now = self._not_now
        batch = StatusBatch(session_epoch=self.journal.epoch, not_now_until=not_now, events=events)
        try:
            ack = await self._post(batch)
        except ControlPlaneRefused as error:
            return await self._refused(error, batch)
        except ControlPlaneUnreachable as error:
            log.warning("status could not be reported", error=str(error), events=len(events))
            return error
        self._not_now_told = not_now
        self._most = STATUS_EVENTS_PER_BATCH
        return await self._acknowledged(ack, events)

    async def _post(self, batch: StatusBatch) -> StatusAck:
        causes = list(dict.fromkeys(e.traceparent for e in batch.events if e.traceparent))
        if not causes:
            return await self.client.report(batch)
        with span(
            "status report",
            parent=causes[0],
            links=causes[1:],
            kind=Kind.CLIENT,
            attributes={"arcbridge.events": len(batch.events)},
        ):
            return await self.client.report(batch)

    async def _acknowledged(
        self, ack: StatusAck, events: tuple[StatusEvent, ...]
    ) -> AgentError | None:
        for refused in ack.refused:
            log.warning(
                "status event refused",
                event_id=str(refused.id),
                code=refused.code.value,
                detail=refused.detail,
            )
        if not events:
            return None
        # Never beyond what this batch held: the answer is about it.
        durable = min(ack.durable_sequence, events[-1].sequence)
        if durable < events[0].sequence:
            return ControlPlaneUnreachable("the control plane acknowledged none of the batch")
        await self.journal.acknowledge(durable)
        self.on_reported(sum(event.sequence <= durable for event in events))
        return None

    async def _refused(self, error: ControlPlaneRefused, batch: StatusBatch) -> AgentError | None:
        events = batch.events
        if error.code is ErrorCode.STALE_EPOCH:
            log.info("a newer session exists, taking its place", detail=error.detail)
            self.on_stale_epoch(batch.session_epoch)
        elif error.code in _POISONED and len(events) > 1:
            self._most = len(events) // 2
            log.warning("status batch refused, trying a smaller one", events=len(events))
            return None
        elif error.code in _POISONED and events:
            log.warning("status event dropped, it is never taken", detail=error.detail)
            await self.journal.drop(events[0].sequence)
            return None
        else:
            log.warning("status refused", code=error.code.value, detail=error.detail)
        return error
