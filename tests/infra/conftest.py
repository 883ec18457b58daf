"""A clean Python 3.13, as images and Functions host have, and Microsoft's worker library."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dev.python313 import ENVIRONMENT, find_python, install_python, worker_python
from dev.state import REPOSITORY
from tests.running_fixture import running

__all__ = ["running"]


@pytest.fixture(scope="session")
def python313() -> Path:
    """An interpreter that has no packages of ours."""
    return find_python() or install_python()


@pytest.fixture(scope="session")
def worker_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the worker library alone, and the messages that it is spoken to with."""
    worker_python()
    [packages] = ENVIRONMENT.glob("lib/python3*/site-packages")
    folder = tmp_path_factory.mktemp("worker-library")
    for name in ("azure_functions_runtime", "azurefunctions"):
        if (packages / name).is_dir():
            shutil.copytree(packages / name, folder / name)
    shutil.copy(REPOSITORY / "tests" / "worker" / "protocol.py", folder)
    return folder


def clean(
    python: Path, *arguments: str, environ: dict[str, str], cwd: Path
) -> subprocess.Popen[str]:
    """A program in a Python that sees nothing but what it is given (-S: no installed packages)."""
    own = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [str(python), "-S", *arguments], cwd=cwd, env={**own, **environ},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
