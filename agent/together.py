"""Runs what belongs together in one task group that leaves nothing behind in its caller.

Not `asyncio.TaskGroup`: before Python 3.11.9 or so, one whose child fails while it waits for the
others leaves a cancellation counted on its parent. Whoever goes on in that task then gets
CancelledError out of the next `asyncio.timeout` that runs out, and ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def run_together(*works: Coroutine[object, object, None]) -> None:
    """Until all have ended, or the first fails: then the others are cancelled and waited for, and
    its exception is raised as it is. Cancelled, it cancels them all."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
