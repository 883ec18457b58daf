"""How a service that runs on a schedule becomes a timer Function.

A run is traced, counted and timed; its failure is logged once and raised, so that the host sees it
too. The next run makes up for a failed one. Schedules are app settings (six-field NCRONTAB).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import azure.functions as func
from azure.functions import TimerRequest

from functions import runtime, telemetry
from functions.instruments import instruments
from shared.domain.errors import ArcBridgeError
from shared.services.control_plane import ControlPlane
from shared.telemetry import tracing
from shared.telemetry.logs import get_logger

RUN_SECONDS = 240.0
"""Under the host's functionTimeout of five minutes."""
Work = Callable[[ControlPlane], Awaitable[object]]
log = get_logger(__name__)


class Timer(func.Blueprint):
    """A blueprint of one timer."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the base class leaves it untyped

    def every(self, schedule_setting: str) -> Callable[[Work], Work]:
        """Run a coroutine as the timer Function `<its name>` on the setting's schedule."""

        def register(work: Work) -> Work:
            name = work.__name__
            self.timer_trigger(arg_name="timer", schedule=f"%{schedule_setting}%")(
                _function(name, work)
            )
            return work

        return register


def _function(name: str, work: Work) -> Callable[[TimerRequest], Awaitable[None]]:
    async def function(timer: TimerRequest) -> None:
        if timer.past_due:
            log.warning("timer is late", timer=name)
        await run(name, work)

    function.__name__ = function.__qualname__ = name
    function.__module__, function.__doc__ = work.__module__, work.__doc__
    return function


async def run(name: str, work: Work) -> None:
    """One run. Raises what the work raised."""
    telemetry.start()
    started = time.perf_counter()
    seen = instruments()
    outcome = "failed"
    try:
        with tracing.span(f"timer {name}", attributes={"faas.name": name}):
            async with asyncio.timeout(RUN_SECONDS):
                await work(await runtime.control_plane())
        outcome = "succeeded"
        seen.timer_last_success.labels(name).set_to_current_time()
    except ArcBridgeError as error:
        log.warning("timer run failed", timer=name, code=error.code.value, detail=error.detail)
        raise
    except Exception:
        log.exception("timer run failed", timer=name)
        raise
    finally:
        seen.timer_runs.labels(name, outcome).inc()
        seen.timer_seconds.labels(name).observe(time.perf_counter() - started)
