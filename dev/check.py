"""`make test` and `make lint`: each check as a step with its name, its time and its verdict.

    python -m dev.check tests [pytest's arguments]
    python -m dev.check lint

The tests run twice: all of them here, and those in tests/worker on Python 3.13, because Microsoft's
worker library exists for that version only. A machine without Python 3.13, where none can be
installed either, fails the check: it does not skip it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.backends import backends
from dev.python313 import worker_python
from dev.state import REPOSITORY, state_directory

BIN = Path(sys.executable).parent
TEST_PROCESSES = 5
"""More than there may be cores: the long tests wait for processes and timers, not for a core."""
TESTS_SECONDS = 1800
UNSET = ("PYTHONDONTWRITEBYTECODE",)
"""What the tests start are hundreds of Python processes: each would compile everything anew."""
STEP_SECONDS = 900
HALVES = (
    ("tests/unit",),
    (
        "tests/integration",
        "tests/contract",
        "tests/e2e",
        "tests/attacks",
        "tests/infra",
        "tests/migration",
    ),
)
"""Of the tests, about as long to compile."""


@dataclass(frozen=True)
class Step:
    """One command, and what to call it."""

    name: str
    command: Sequence[str]
    seconds: int = STEP_SECONDS
    environ: Mapping[str, str] | None = None
    quiet: bool = True
    """Whether output is shown only when it fails."""


LINT = (
    Step("ruff: rules", [str(BIN / "ruff"), "check"]),
    Step("ruff: format", [str(BIN / "ruff"), "format", "--check"]),
    Step("mypy: strict types", [str(BIN / "mypy")]),
    Step("import-linter: who may import whom", [str(BIN / "lint-imports")]),
    Step("basedpyright: literal SQL in shared/store", [str(BIN / "basedpyright")]),
    Step(
        "infrastructure: Bicep, Dockerfiles, workflows",
        [sys.executable, "-m", "dev.infrastructure"],
    ),
)


def run(step: Step) -> bool:
    """Run a step and print its verdict; True when it passed."""
    print(f"• {step.name} …", end="\n" if not step.quiet else " ", flush=True)
    started = time.monotonic()
    try:
        result = subprocess.run(
            step.command, cwd=REPOSITORY, env=step.environ, timeout=step.seconds, check=False,
            capture_output=step.quiet, text=True,
        )  # fmt: skip
        passed, output = result.returncode == 0, f"{result.stdout or ''}{result.stderr or ''}"
    except subprocess.TimeoutExpired:
        passed, output = False, f"not done after {step.seconds} s"
    verdict = "ok" if passed else "FAILED"
    lead = "" if step.quiet else f"• {step.name}: "
    print(f"{lead}{verdict} ({time.monotonic() - started:.1f} s)", flush=True)
    if not passed and output:
        print(output, flush=True)
    return passed


def lint() -> bool:
    """Every check, also after one has failed."""
    return all([run(step) for step in LINT])


def environ() -> dict[str, str]:
    """The environment of the tests."""
    return {name: value for name, value in os.environ.items() if name not in UNSET}


def compile_tests() -> None:
    """Have pytest rewrite the assertions of all tests, and keep that, before the processes start.

    They collect the same modules at the same time, so each would do the whole of it: eight seconds
    of a core in each. What is wrong with a module is told by the tests themselves.
    """
    if any((REPOSITORY / "tests/unit").rglob("*-pytest-*.pyc")):
        return
    print("• compiling the tests, once …", flush=True)
    collect = [sys.executable, "-m", "pytest", "-n0", "--collect-only", "-q"]
    with contextlib.ExitStack() as stack:
        for half in HALVES:
            stack.enter_context(
                subprocess.Popen(
                    [*collect, *half],
                    cwd=REPOSITORY,
                    env=environ(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )


def tests(arguments: Sequence[str]) -> bool:
    """All tests here, then those of the worker library on Python 3.13."""
    compile_tests()
    here = Step(
        f"tests on Python {sys.version_info.major}.{sys.version_info.minor}",
        [
            sys.executable, "-m", "pytest", "-n", str(TEST_PROCESSES), "--dist", "loadfile",
            # In the order of collection: the long files of contract, e2e and integration first, so
            # that no process is left alone with one of them at the end.
            "--no-loadscope-reorder",
            "--ignore", "tests/worker", "--durations", "10", *arguments,
        ],
        seconds=TESTS_SECONDS,
        environ=environ(),
        quiet=False,
    )  # fmt: skip
    passed = run(here)
    return asyncio.run(worker_tests(arguments)) and passed


async def worker_tests(arguments: Sequence[str]) -> bool:
    """The tests inside Microsoft's worker library, with servers started from here.

    The wheels of the servers are not part of the worker's environment, which is the deployment's.
    """
    python = await asyncio.to_thread(worker_python)
    with tempfile.TemporaryDirectory(dir=state_directory()) as directory:
        async with backends(Path(directory), durable=False) as running:
            step = Step(
                "tests in the Functions worker on Python 3.13",
                [str(python), "-m", "pytest", "tests/worker", *arguments],
                environ=environ()
                | {
                    "ARCBRIDGE_POSTGRES_URL": running.postgres_url,
                    "ARCBRIDGE_REDIS_URL": running.redis_url,
                },
                quiet=False,
            )
            return await asyncio.to_thread(run, step)


def main() -> int:
    """0 when everything passed."""
    match sys.argv[1:]:
        case ["lint"]:
            return 0 if lint() else 1
        case ["tests", *arguments]:
            return 0 if tests(arguments) else 1
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
