"""The state directory: one process has it at a time, and nobody else may read it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import AgentError


class StateDirectoryInUse(AgentError):
    """Another process has this state directory."""


@contextmanager
def owned(directory: Path) -> Iterator[Path]:
    """The directory, made if need be and locked for the length of the block.

    Raises StateDirectoryInUse. The kernel frees the lock when the process ends, however it ends.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "lock"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StateDirectoryInUse(f"another process has the directory {directory}") from error
    try:
        yield directory
    finally:
        os.close(descriptor)
