"""An engine at work, what it reported, and what it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.clock import SystemClock
from agent.kube.client import KubeClient
from agent.reconcile.engine import Drivers, Engine
from agent.reconcile.seam import EventDraft, ReconcileGate, ReconcileSettings
from dev.trial.release import document
from shared.contract.desired import DesiredExtension
from shared.contract.states import ExtensionPhase


@dataclass
class RunningEngine:
    """An engine, and the journal's place beside it."""

    engine: Engine
    events: list[EventDraft] = field(default_factory=list)
    recorded: asyncio.Event = field(default_factory=asyncio.Event)

    async def record(self, draft: EventDraft) -> None:
        """Take a report."""
        self.events.append(draft)
        self.recorded.set()

    def submit(self, *extensions: DesiredExtension, gate: ReconcileGate | None = None) -> None:
        """Hand over a document."""
        self.engine.submit(document(*extensions), reconcile_allowed=gate or ReconcileGate())

    async def until(
        self, wanted: Callable[[EventDraft], bool], *, seconds: float = 90
    ) -> EventDraft:
        """The first event, reported or yet to be, that is wanted. Raises AssertionError."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            for event in self.events:
                if wanted(event):
                    return event
            if asyncio.get_running_loop().time() > deadline:
                told = [(e.phase.value, e.reason.value, e.message) for e in self.events]
                raise AssertionError(f"it was not said; what was said: {told}")
            self.recorded.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.recorded.wait(), 0.5)

    async def ready(self, name: str, generation: int = 1, *, seconds: float = 90) -> EventDraft:
        """The extension's Ready event of that generation."""
        return await self._phase(name, generation, ExtensionPhase.READY, seconds)

    async def failed(self, name: str, generation: int = 1, *, seconds: float = 90) -> EventDraft:
        """The extension's Failed event of that generation."""
        return await self._phase(name, generation, ExtensionPhase.FAILED, seconds)

    async def removed(self, name: str, generation: int, *, seconds: float = 90) -> EventDraft:
        """The extension's Removed event."""
        return await self._phase(name, generation, ExtensionPhase.REMOVED, seconds)

    async def _phase(
        self, name: str, generation: int, phase: ExtensionPhase, seconds: float
    ) -> EventDraft:
        def wanted(event: EventDraft) -> bool:
            return (event.extension, event.observed_generation, event.phase) == (
                name,
                generation,
                phase,
            )

        return await self.until(wanted, seconds=seconds)


@asynccontextmanager
async def running_engine(
    settings: ReconcileSettings, *, as_user: str | None = None
) -> AsyncIterator[RunningEngine]:
    """The agent's engine with the real tools, on the cluster of `settings.kubeconfig`."""
    async with await KubeClient.connect(settings.kubeconfig) as kube:
        running = RunningEngine.__new__(RunningEngine)
        engine = Engine(
            kube=kube.acting_as(as_user),
            drivers=Drivers.from_settings(settings),
            sink=running,
            settings=settings,
            clock=SystemClock(),
        )
        RunningEngine.__init__(running, engine)
        task = asyncio.create_task(engine.run())
        try:
            yield running
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
