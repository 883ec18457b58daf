"""How many requests the host lets in, as host.json says: some run, some wait, the rest hear 429."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class Throttle:
    """Places for requests. `running` and `outstanding` are bounds; None for none."""

    def __init__(self, running: int | None, outstanding: int | None) -> None:
        self._places = asyncio.Semaphore(running) if running else None
        self._most = outstanding
        self._outstanding = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[bool]:
        """A place for the length of the block, once one is free; False when too many wait."""
        if self._most is not None and self._outstanding >= self._most:
            yield False
            return
        self._outstanding += 1
        try:
            async with AsyncExitStack() as stack:
                if self._places is not None:
                    await stack.enter_async_context(self._places)
                yield True
        finally:
            self._outstanding -= 1
