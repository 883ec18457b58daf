"""The processes that the agents live in, as their director sees them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from dev.fleet.scenario import Scenario
from dev.state import REPOSITORY
from dev.tether import tethered

AGENTS_PER_PROCESS = 300
LINE_BYTES = 1_048_576
STOP_SECONDS = 10.0


class Workers:
    """Some processes with some hundred agents each."""

    def __init__(self, processes: Sequence[asyncio.subprocess.Process]) -> None:
        self._processes = processes

    async def order(self, text: str) -> None:
        """Tell all agents something."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.write(f"{text}\n".encode())
                await process.stdin.drain()

    @property
    def ended(self) -> bool:
        """Whether one has ended by itself, which none may."""
        return any(process.returncode is not None for process in self._processes)


@asynccontextmanager
async def workers(
    scenario: Scenario,
    tokens: Sequence[tuple[str, str]],
    control_plane_url: str,
    directory: Path,
    hear: Callable[[dict[str, Any]], None],
) -> AsyncIterator[Workers]:
    """The processes for the length of the block. `tokens`: a token and the CA pin per agent."""
    parts = [
        range(start, min(start + AGENTS_PER_PROCESS, len(tokens)))
        for start in range(0, len(tokens), AGENTS_PER_PROCESS)
    ]
    async with AsyncExitStack() as stack:
        processes = []
        for index, numbers in enumerate(parts):
            plan = {
                "scenario": scenario.model_dump(mode="json", by_alias=True),
                "controlPlaneUrl": control_plane_url,
                "numbers": list(numbers),
                "tokens": [tokens[number][0] for number in numbers],
                "caPin": tokens[0][1],
                "processes": len(parts),
            }
            path = directory / f"worker-{index}.json"
            path.touch(mode=0o600)
            path.write_text(json.dumps(plan))
            process = await _started(path, directory / f"worker-{index}.log")
            stack.push_async_callback(_stop, process)
            listening = asyncio.create_task(_listen(process, hear))
            stack.callback(listening.cancel)
            processes.append(process)
        yield Workers(processes)


async def _started(plan: Path, log: Path) -> asyncio.subprocess.Process:
    with log.open("wb") as errors:
        return await asyncio.create_subprocess_exec(
            *tethered([sys.executable, "-m", "dev.fleet.worker", str(plan)]),
            cwd=REPOSITORY,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=LINE_BYTES,
            start_new_session=True,
        )


async def _listen(
    process: asyncio.subprocess.Process, hear: Callable[[dict[str, Any]], None]
) -> None:
    if process.stdout is None:
        return
    while line := await process.stdout.readline():
        hear(json.loads(line))


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
