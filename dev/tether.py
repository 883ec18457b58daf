"""Runs a command that ends with its parent and, where asked, without root's identity.

A development server must never outlive the program that started it, not even when that program is
killed with SIGKILL. Only the kernel can promise that, through `PR_SET_PDEATHSIG`, and it has to be
asked from inside the new process. A `preexec_fn` would do so between fork and exec of a parent that
may have threads, which can deadlock; so this small program does it and then becomes the command.

PostgreSQL refuses to run as root. For a root user `--unprivileged` switches to `nobody` and keeps
the one capability (`CAP_DAC_OVERRIDE`) that lets it reach files below root's own folders.

Linux only. The parent must start it from a thread that lives as long as the command should: the
kernel watches the thread, not the process. Uses the standard library alone and nothing of `dev`, so
that it starts in some milliseconds (`python -I -S dev/tether.py`).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def tethered(
    command: Sequence[str],
    *,
    on_parent_death: signal.Signals = signal.SIGTERM,
    unprivileged: bool = False,
) -> list[str]:
    """The argument list that runs `command` tied to the calling process.

    `on_parent_death` is the signal that the command gets when its parent is gone, however it went.
    `unprivileged` matters only to root: the command then runs as `nobody`.
    """
    flags = ["--unprivileged"] if unprivileged else []
    prefix = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    return [*prefix, str(os.getpid()), str(int(on_parent_death)), *flags, "--", *command]


def tie_to_make() -> None:
    """End with `make`, when that runs this program: a killed make tells its children nothing."""
    parent = os.getppid()
    try:
        is_make = Path(f"/proc/{parent}/comm").read_text().strip() == "make"
    except OSError:
        return
    if is_make:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def drop_root() -> None:
    """Become `nobody`, keeping only the right to pass file permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    nobody = pwd.getpwnam("nobody")
    libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << CAP_DAC_OVERRIDE
    # effective, permitted, inheritable for the low word, then for the high word
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    libc.capset(ctypes.byref(header), ctypes.byref(sets))
    # Where a container withholds the capability this changes nothing, and the command says itself
    # which file it cannot reach.
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def main(arguments: Sequence[str]) -> None:
    """Tie this process to its parent, then become the command after `--`."""
    separator = arguments.index("--")
    parent, death_signal, *flags = arguments[:separator]
    command = arguments[separator + 1 :]
    if "--unprivileged" in flags and os.geteuid() == 0:
        drop_root()
    # After the change of user, which would clear it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):  # it died before the kernel was asked
        sys.exit(1)
    os.execv(command[0], list(command))  # noqa: S606 - becoming the command is what this is for


if __name__ == "__main__":
    main(sys.argv[1:])
