"""Finds or installs Python 3.13, and makes the environment of Microsoft's Functions worker library.

That library exists for Python 3.13 only. Looked for in PATH, in pyenv's versions and among uv's
own; where none is found uv installs one. There is no way on without it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dev.state import REPOSITORY

VERSION = "3.13"
LOCK = REPOSITORY / "dev" / "requirements-worker.txt"
ENVIRONMENT = REPOSITORY / ".venv-worker"
PROBE_SECONDS = 20
INSTALL_SECONDS = 900
UV = str(Path(sys.executable).parent / "uv")


class NoPythonError(SystemExit):
    """There is no Python 3.13 and none could be installed."""


def worker_python() -> Path:
    """The interpreter of the worker's environment, which is made or renewed where needed.

    Raises NoPythonError. Takes seconds once the packages are in uv's cache.
    """
    interpreter = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / ".ready"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted and is_right_version(interpreter):
        return interpreter
    base = find_python() or install_python()
    print(f"set-up: environment of the Functions worker, on {base}", flush=True)
    uv("venv", "--quiet", "--clear", "--python", str(base), str(ENVIRONMENT))
    uv(
        "pip", "install", "--quiet", "--python", str(interpreter), "--require-hashes",
        "-r", str(LOCK),
    )  # fmt: skip
    stamp.write_text(wanted)
    return interpreter


def find_python() -> Path | None:
    """A Python 3.13 that is on this machine already."""
    return next((path for path in candidates() if is_right_version(path)), None)


def candidates() -> Iterator[Path]:
    """Where one may be. A shim in PATH may exist and still not run."""
    in_path = shutil.which(f"python{VERSION}")
    if in_path:
        yield Path(in_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{VERSION}*/bin/python"), reverse=True)
    found = subprocess.run(
        [UV, "python", "find", "--no-python-downloads", VERSION],
        capture_output=True, text=True, timeout=PROBE_SECONDS, check=False,
    )  # fmt: skip
    if found.returncode == 0:
        yield Path(found.stdout.strip())


def install_python() -> Path:
    """Have uv install one."""
    try:
        uv("python", "install", "--quiet", VERSION)
    except subprocess.SubprocessError as error:
        raise NoPythonError(
            f"The tests in Microsoft's Functions worker need Python {VERSION}, and neither is there"
            f" one on this machine nor could uv install one ({error}).\n"
            f"Install Python {VERSION} so that python{VERSION} is in PATH, and run this again."
        ) from error
    installed = find_python()
    if installed is None:
        raise NoPythonError(f"uv installed Python {VERSION}, but it does not run")
    return installed


def is_right_version(interpreter: Path) -> bool:
    """Whether it runs and is a Python 3.13."""
    try:
        answer = subprocess.run(
            [interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, text=True, timeout=PROBE_SECONDS, check=False,
        )  # fmt: skip
    except OSError:
        return False
    return answer.stdout.strip() == VERSION


def uv(*arguments: str) -> None:
    """Run uv; raises subprocess.SubprocessError."""
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run([UV, *arguments], check=True, timeout=INSTALL_SECONDS, env=environ)
