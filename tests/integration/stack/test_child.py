"""A process of the stack is kept running, and gone when the stack is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dev.stack import child as child_module
from dev.stack.child import Child, ChildError, Program
from dev.tether import tethered

READY = "import json, os, sys, time; open(sys.argv[1], 'w').write(json.dumps({'pid': os.getpid()}))"
SLEEPS = f"{READY}; time.sleep(600)"
DEADLINE_SECONDS = 20


@asynccontextmanager
async def running(directory: Path, code: str, told: list[str]) -> AsyncIterator[Child]:
    ready = directory / "ready.json"
    program = Program("sample", [sys.executable, "-c", code, str(ready)], os.environ, ready)
    child = Child(program, directory / "logs", told.append)
    try:
        await child.start()
        yield child
    finally:
        await child.stop()


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until_dead(pid: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while is_alive(pid):
            await asyncio.sleep(0.02)


async def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    told: list[str] = []
    async with running(tmp_path, SLEEPS, told) as child:
        first = child.pid
        child.kill()
        await child.until_ready(DEADLINE_SECONDS)
        assert child.restarts == 1
        assert child.pid not in {None, first}
    assert told == ["sample ended (signal 9); starting it again"]


async def test_a_half_written_ready_file_is_waited_for(tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = (
        "import json, os, pathlib, sys, time; ready = pathlib.Path(sys.argv[1]);"
        f"ready.write_text('{{'); go = pathlib.Path({str(go)!r});\n"
        "while not go.exists(): time.sleep(0.01)\n"
        f"{SLEEPS}"
    )
    program = Program(
        "sample",
        [sys.executable, "-c", code, str(tmp_path / "ready")],
        os.environ,
        tmp_path / "ready",
    )
    child = Child(program, tmp_path / "logs", [].append)
    try:
        starting = asyncio.create_task(child.start())
        while not program.ready_file.exists():
            await asyncio.sleep(0.02)
        go.touch()
        assert (await starting)["pid"] > 0
    finally:
        await child.stop()


async def test_what_a_process_started_dies_with_it(tmp_path: Path) -> None:
    grandchild_file = tmp_path / "grandchild"
    code = (
        "import subprocess, sys; p = subprocess.Popen(['sleep', '600']);"
        f"open({str(grandchild_file)!r}, 'w').write(str(p.pid)); {SLEEPS}"
    )
    async with running(tmp_path, code, []) as child:
        grandchild = int(grandchild_file.read_text())
        child.kill()
        await until_dead(grandchild)
        await child.until_ready(DEADLINE_SECONDS)
        grandchild = int(grandchild_file.read_text())
    await until_dead(grandchild)


async def test_a_process_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "STOP_SECONDS", 0.2)
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"
    async with running(tmp_path, code, []) as child:
        pid = child.pid
    assert pid is not None
    assert not is_alive(pid)


async def test_a_process_that_ends_at_its_start_is_an_error_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"(?s)status 3.*it is broken"):
        async with running(tmp_path, "import sys; print('it is broken'); sys.exit(3)", []):
            pass


async def test_a_process_that_is_never_ready_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "START_SECONDS", 0.3)
    with pytest.raises(ChildError, match="not ready"):
        async with running(tmp_path, "import time; time.sleep(600)", []):
            pass


async def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = tethered([sys.executable, "-c", SLEEPS, str(ready)])
    # the same argument list, tied to a process that is killed
    parent_code = (
        "import os, subprocess, sys; argv = sys.argv[1:]; argv[4] = str(os.getpid());"
        "subprocess.Popen(argv, start_new_session=True).wait()"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", parent_code, *command)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not ready.exists() or not ready.read_text():
            await asyncio.sleep(0.02)
    pid = int(ready.read_text().split(":")[1].strip(" }"))
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await until_dead(pid)
