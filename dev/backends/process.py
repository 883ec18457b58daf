"""One server process: started tied to its parent, watched until ready, stopped or made to fail.

A data directory has one server at most. Whatever ran in it before (a server that hangs, or that is
still writing its last checkpoint for a parent that was killed) is ended before a new one starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from dev.tether import tethered

START_SECONDS = 30.0
STOP_SECONDS = 15.0
LEFTOVER_SECONDS = 3.0
POLL_SECONDS = 0.02
RETRY_SECONDS = 1.0
PORT_ATTEMPTS = 5
LOG_TAIL_CHARACTERS = 2000


class BackendError(Exception):
    """A server did not start or stop; the text ends with the tail of its log."""


def free_port() -> int:
    """A loopback TCP port that nobody uses at this moment; somebody may before you do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def processes_in(directory: Path, program: str) -> Iterator[int]:
    """Ids of the processes of `program` whose working directory is `directory`.

    The program's name is part of the question so that nobody's shell is taken for a server.
    """
    wanted = directory.resolve()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            if (entry / "exe").readlink().name == program and (entry / "cwd").readlink() == wanted:
                yield int(entry.name)


class ServerProcess(ABC):
    """A server that works in `directory`; it makes that its working directory once it runs."""

    name: str
    program: str
    stop_signal: signal.Signals
    unprivileged = False

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.directory = directory.absolute()
        self.log_path = self.directory.with_suffix(".log")
        self._fixed_port = port
        self.port = port or 0
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @abstractmethod
    async def prepare(self) -> None:
        """Make the data directory fit to start on; called after leftovers are gone."""

    @abstractmethod
    def command(self) -> list[str]:
        """The server's argument list, for `self.port`."""

    @abstractmethod
    async def is_ready(self) -> bool:
        """Whether it answers."""

    @property
    def pid(self) -> int:
        """The server's process id, for fault tests."""
        if self._process is None:
            raise BackendError(f"{self.name} is not running")
        return self._process.pid

    async def start(self) -> None:
        """Start and wait until ready; the port stays the same over later starts.

        Raises BackendError when it ends early (a port taken meanwhile is tried anew with another)
        or is not ready within 30 s.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        await self._end_leftovers()
        await self.prepare()
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self.port = self.port or self._fixed_port or free_port()
            await self._spawn()
            try:
                await self._wait_ready()
            except BackendError:
                lost_the_port = "Address already in use" in self._log_tail()
                if self._fixed_port or not lost_the_port or attempt == PORT_ATTEMPTS:
                    raise
                self.port = 0
            else:
                self._fixed_port = self.port
                return

    def keep(self) -> None:
        """From now on, start it again whenever it ends, until it is stopped on purpose."""
        self._keeper = asyncio.create_task(self._start_again())

    async def _start_again(self) -> None:
        while True:
            if self._process is not None:
                await self._process.wait()
            try:
                await self.start()
            except BackendError:
                await asyncio.sleep(RETRY_SECONDS)

    async def stop(self) -> None:
        """Ask it to end, and kill it when it does not within 15 s. No effect when not running."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        if self._process is None:
            return
        self.send(self.stop_signal)
        self.resume()  # a paused one would only note the request
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        self._process = None

    async def kill(self) -> None:
        """SIGKILL, and what it leaves behind too. `start` brings it back on the same data."""
        if self._process is None:
            return
        self.send(signal.SIGKILL)
        async with asyncio.timeout(STOP_SECONDS):
            await self._process.wait()
        self._process = None
        await self._end_leftovers()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def send(self, signal_number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal_number)

    async def _spawn(self) -> None:
        with self.log_path.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tethered(
                    self.command(),
                    on_parent_death=self.stop_signal,
                    unprivileged=self.unprivileged,
                ),
                cwd=self.directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C at the terminal is for the parent, which then stops this in order.
                start_new_session=True,
            )

    async def _wait_ready(self) -> None:
        process = self._process
        if process is None:
            raise BackendError(f"{self.name} was not started")
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await self.is_ready():
                    if process.returncode is not None:
                        self._process = None
                        raise BackendError(
                            f"{self.name} ended with status {process.returncode} while it started"
                            f" in {self.directory}:\n{self._log_tail()}"
                        )
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            await self.kill()
            raise BackendError(
                f"{self.name} was not ready within {START_SECONDS:.0f} s:\n{self._log_tail()}"
            ) from error

    async def _end_leftovers(self) -> None:
        """End what still runs in the directory: politely, then with SIGKILL."""
        for signal_number in (self.stop_signal, signal.SIGKILL):
            for pid in list(processes_in(self.directory, self.program)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal_number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEFTOVER_SECONDS):
                    while any(processes_in(self.directory, self.program)):
                        await asyncio.sleep(POLL_SECONDS)
                return
        raise BackendError(f"a former {self.name} in {self.directory} does not end")

    def _log_tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]
