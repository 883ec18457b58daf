"""Fires timers: one task each, so that a timer never overlaps itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from azure.functions.timer import TimerRequest

from dev.host.functions import TimerFunction
from dev.host.invocation import Invoker
from dev.host.schedule import Schedule, ScheduleStatus


class TimerRunner:
    """One timer function's schedule."""

    def __init__(
        self,
        timer: TimerFunction,
        invoker: Invoker,
        status_directory: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self.timer = timer
        self.schedule = Schedule.parse(timer.schedule)
        self._invoker = invoker
        self._clock = clock
        self._status_path = status_directory / f"{timer.function.name}.json"
        self._running = asyncio.Lock()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Fire on schedule until stopped; first of all when a run was missed or on startup."""
        status = self._read_status()
        if status is not None and status.is_past_due(self._clock()):
            await self.fire(past_due=True)
        elif self.timer.run_on_startup:
            await self.fire(past_due=False)
        while await self._until(self.schedule.next_after(self._clock())):
            await self.fire(past_due=False)

    async def stop(self) -> None:
        """Start no more runs, and wait for the one that is under way."""
        self._stopped.set()
        async with self._running:
            pass

    async def _until(self, due: datetime) -> bool:
        """Wait for a moment; False when stopped before it."""
        while (remaining := (due - self._clock()).total_seconds()) > 0:
            try:
                async with asyncio.timeout(remaining):
                    await self._stopped.wait()
            except TimeoutError:
                continue
            return False
        return not self._stopped.is_set()

    async def fire(self, *, past_due: bool) -> None:
        """Run the function now, or after the run under way; a failure is logged, not raised."""
        async with self._running:
            status = self._read_status()
            request = TimerRequest(
                past_due=past_due,
                schedule_status=status.as_json() if status else {},
                schedule={"AdjustForDST": True},
            )
            await self._invoker.invoke_timer(self.timer.function, request)
            self._write_status()

    def _read_status(self) -> ScheduleStatus | None:
        if not self._status_path.exists():
            return None
        return ScheduleStatus.from_json(json.loads(self._status_path.read_text()))

    def _write_status(self) -> None:
        now = self._clock()
        if not self.timer.use_monitor or not self.schedule.is_monitored(now):
            return
        status = ScheduleStatus(last=now, next=self.schedule.next_after(now))
        self._status_path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._status_path.with_suffix(".partial")
        partial.write_text(json.dumps(status.as_json()))
        partial.replace(self._status_path)
