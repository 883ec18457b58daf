"""Where the development stack keeps its files, and who owns them at the moment.

Everything lives below one state directory (`.arcbridge/`, or `ARCBRIDGE_STATE_DIR`), each program
in a folder of its own. A folder has one owner at a time, held by a lock that the kernel frees when
the owner ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


class StateInUseError(Exception):
    """Another running program owns this state folder."""


def state_directory() -> Path:
    """The state directory, absolute and existing."""
    directory = Path(os.environ.get("ARCBRIDGE_STATE_DIR") or REPOSITORY / ".arcbridge")
    directory = directory.expanduser().absolute()
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextmanager
def owned(directory: Path) -> Iterator[Path]:
    """Own `directory` for the length of the block, creating it where needed.

    Raises StateInUseError, naming the owner, when another process owns it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "owner.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise StateInUseError(
                f"{directory} is in use by process {owner}: end that one first, or set"
                " ARCBRIDGE_STATE_DIR to another folder"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield directory
