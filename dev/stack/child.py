"""One process of the stack: started, watched until ready, restarted when it ends, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.state import REPOSITORY
from dev.tether import tethered

START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 8.0
LOG_TAIL_CHARACTERS = 3000


class ChildError(Exception):
    """A process of the stack did not become ready; the text ends with the tail of its log."""


@dataclass(frozen=True)
class Program:
    """What to run, and the file in which it says that it is ready."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    ready_file: Path
    """JSON, written by the program once it serves."""


class Child:
    """A program that is kept running from `start` to `stop`."""

    def __init__(self, program: Program, log_directory: Path, tell: Callable[[str], None]) -> None:
        self.program = program
        self.log_path = log_directory / f"{program.name}.log"
        self.restarts = 0
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Its process id at the moment; None between two lives."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def start(self) -> dict[str, Any]:
        """Start it and wait until it is ready; gives the content of its ready file.

        Raises ChildError when it ends before, or is not ready within a minute.
        """
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.log_path.unlink(missing_ok=True)
        await self._spawn()
        try:
            content = await self._until_ready_file()
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep())
        return content

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after 15 s; whatever it started goes with it."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        kill_group(process.pid)
        await process.wait()
        self.program.ready_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL it and all it started, as the end of a container would. It is started again."""
        if self.pid is not None:
            self._ready.clear()
            kill_group(self.pid)

    async def until_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until it is ready again. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            await self._ready.wait()

    async def _keep(self) -> None:
        """Start it again each time it ends, with growing pauses while it keeps ending."""
        pause = FIRST_PAUSE_SECONDS
        while self._process is not None:
            status = await self._process.wait()
            self._ready.clear()
            kill_group(self._process.pid)
            self._tell(f"{self.program.name} ended ({describe(status)}); starting it again")
            await asyncio.sleep(pause)
            self.restarts += 1
            await self._spawn()
            try:
                await self._until_ready_file()
                pause = FIRST_PAUSE_SECONDS
            except ChildError as error:
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                self._tell(str(error))

    async def _spawn(self) -> None:
        self.program.ready_file.unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tethered(self.program.command),
                cwd=REPOSITORY,
                env=dict(self.program.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own: a Ctrl-C at the terminal is for the stack, which then stops
                # its processes in order, and `kill` reaches what the process started.
                start_new_session=True,
            )

    async def _until_ready_file(self) -> dict[str, Any]:
        process = self._process
        if process is None:
            raise ChildError(f"{self.program.name} was stopped")
        try:
            async with asyncio.timeout(START_SECONDS):
                while (content := self._said()) is None:
                    if process.returncode is not None:
                        raise self._error(f"ended ({describe(process.returncode)}) at its start")
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise self._error(f"was not ready within {START_SECONDS:.0f} s") from error
        self._ready.set()
        return content

    def _said(self) -> dict[str, Any] | None:
        """The ready file's content; None while there is none, or only a part of one."""
        try:
            content: dict[str, Any] = json.loads(self.program.ready_file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return content

    def _error(self, what: str) -> ChildError:
        tail = self.log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]
        return ChildError(f"{self.program.name} {what}; {self.log_path} ends with:\n{tail}")


def kill_group(leader: int) -> None:
    """SIGKILL a process group, if any of it is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def describe(status: int) -> str:
    """An exit status in words."""
    return f"signal {-status}" if status < 0 else f"status {status}"
