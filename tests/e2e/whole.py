"""Whole stacks for the tests beside this file: a state directory each, with the real tools."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dev.state import state_directory

DEADLINE_SECONDS = 120
TOOLS = state_directory() / "bin"


def state_with_tools(directory: Path) -> Path:
    """A state directory that has the helm and kubectl of `make setup`."""
    state = directory / "state"
    state.mkdir()
    (state / "bin").symlink_to(TOOLS)
    return state


def processes_of(state: Path) -> dict[int, str]:
    """Processes whose command line, environment or working directory names the state directory."""
    found: dict[int, str] = {}
    wanted = str(state).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            described = command + (entry / "environ").read_bytes()
            described += str((entry / "cwd").readlink()).encode()
        except OSError:
            continue
        if wanted in described:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


async def until_none_of(state: Path) -> None:
    """Wait until no process of the stack is left; fails with those that are."""
    try:
        async with asyncio.timeout(20):
            while processes_of(state):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"still there: {processes_of(state)}") from None
