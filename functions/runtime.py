"""The control plane of this worker: opened at the first use, closed when its event loop ends.

Cold starts pay for a database pool only when something needs it, and probes answer before that.
The plane is opened and closed inside one task of the loop that uses it: whoever ends the loop
(the Functions worker, uvicorn, `asyncio.run`) cancels that task, and the pool closes in order.
Several first calls at once share one opening; one that fails is tried again by the next call.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from shared.telemetry.logs import get_logger

if TYPE_CHECKING:
    from shared.services.control_plane import ControlPlane

OPEN_SECONDS = 15.0
CLOSE_SECONDS = 10.0
Opener = Callable[[], AbstractAsyncContextManager["ControlPlane"]]
log = get_logger(__name__)


@asynccontextmanager
async def _from_environment() -> AsyncIterator[ControlPlane]:
    from shared.services.control_plane import ControlPlane
    from shared.settings import Settings

    async with ControlPlane.open(Settings.from_environ(os.environ)) as plane:
        yield plane


class _Keeper:
    """Holds one control plane open in a task of its own."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._stop = asyncio.Event()
        self.ready: asyncio.Future[ControlPlane] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(), name="control-plane")

    @property
    def failed(self) -> bool:
        """Whether opening ended without a control plane."""
        return self.ready.done() and (self.ready.cancelled() or self.ready.exception() is not None)

    async def _hold(self) -> None:
        try:
            async with self._opener() as plane:
                self.ready.set_result(plane)
                await self._stop.wait()
        except Exception as error:
            if self.ready.done():
                log.exception("control plane closed with an error")
            else:
                self.ready.set_exception(error)
        finally:
            self.ready.cancel()  # does nothing once there is a result

    async def close(self) -> None:
        """Close in order; gives up after CLOSE_SECONDS."""
        self._stop.set()
        await asyncio.wait([self._task], timeout=CLOSE_SECONDS)


_keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Keeper] = WeakKeyDictionary()


async def control_plane(opener: Opener = _from_environment) -> ControlPlane:
    """This worker's control plane; opened at the first call.

    Raises what opening raised, and TimeoutError after OPEN_SECONDS.
    """
    loop = asyncio.get_running_loop()
    keeper = _keepers.get(loop)
    if keeper is None or keeper.failed:
        keeper = _keepers[loop] = _Keeper(opener)
    # Shielded: one caller that gives up must not take the others' opening with it.
    async with asyncio.timeout(OPEN_SECONDS):
        return await asyncio.shield(keeper.ready)


async def close() -> None:
    """Close this loop's control plane, if there is one; the next call opens a new one."""
    keeper = _keepers.pop(asyncio.get_running_loop(), None)
    if keeper is not None:
        await keeper.close()
