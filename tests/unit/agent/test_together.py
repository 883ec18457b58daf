"""What runs together ends together, and leaves whoever ran it as it was."""

from __future__ import annotations

import asyncio

import pytest

from agent.together import run_together


class Broken(Exception):
    """What one of them fails with."""


async def test_the_first_failure_is_raised_as_it_is_once_the_others_have_ended() -> None:
    ended = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("endless")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise Broken

    with pytest.raises(Broken):
        await run_together(endless(), fails())
    assert ended == ["endless"]


async def test_whoever_goes_on_after_a_failure_is_not_left_cancelled() -> None:
    """The last one to end is the one that fails: a task group of 3.11 leaves its parent so."""

    async def fails() -> None:
        await asyncio.sleep(0)
        raise Broken

    with pytest.raises(Broken):
        await run_together(fails())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_cancelled_it_cancels_them_all() -> None:
    begun, ended = asyncio.Event(), []

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("endless")

    task = asyncio.create_task(run_together(endless(), endless()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["endless", "endless"]
