"""Becomes a tool that the kernel kills when the agent is gone, however the agent went.

A helm that outlives its agent would race the one that the restarted agent starts. Only the kernel
can promise otherwise (`PR_SET_PDEATHSIG`), and it has to be asked from inside the new process. A
`preexec_fn` would do so by a real fork of a process with gRPC's threads, and gRPC's own fork
handlers abort the child then; this small program is started by vfork, which runs no handlers.

Linux only, the standard library alone: it starts with `python -I -S` in some milliseconds. The
kernel watches the thread that starts it, which is the event loop's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1


def tethered(binary: Path, arguments: Sequence[str]) -> list[str]:
    """The argument list that runs `binary`, tied to the calling process where the kernel can."""
    if sys.platform != "linux":
        return [str(binary), *arguments]
    this = str(Path(__file__).resolve())
    return [sys.executable, "-I", "-S", this, str(os.getpid()), str(binary), *arguments]


def main(arguments: Sequence[str]) -> None:
    """Tie this process to the parent that `arguments` names first, then become the rest."""
    parent, *command = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):  # it went before the kernel was asked
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        os.execv(command[0], command)  # noqa: S606 - an argument list, no shell
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
