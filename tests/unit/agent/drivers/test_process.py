"""Tools are run by argument list, within a deadline, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from agent.drivers.helm import Helm, HelmTarget, Upgrade, secret_values
from agent.drivers.process import environment, run_tool, scrub, shortened
from agent.errors import ToolError, ToolTimedOut

PYTHON = Path(sys.executable)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


async def python(code: str, cwd: Path, seconds: float = 20.0, **own: str) -> bytes:
    finished = await run_tool(
        PYTHON, ["-c", code], env=environment(own), cwd=cwd, deadline_seconds=seconds
    )
    return finished.stdout


async def test_output_comes_back_and_failure_carries_the_tools_words(tmp_path: Path) -> None:
    assert await python("print('hi')", tmp_path) == b"hi\n"
    with pytest.raises(ToolError, match="no luck") as caught:
        await python("import sys; sys.exit('no luck')", tmp_path)
    assert caught.value.exit_code == 1


async def test_a_tool_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, time, pathlib\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "pathlib.Path('pid').write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    with pytest.raises(ToolTimedOut):
        await python(code, tmp_path, 1.5, PATH=os.environ["PATH"])
    pid = int((tmp_path / "pid").read_text())
    await asyncio.sleep(0.1)
    assert not alive(pid)


async def test_cancelling_kills_the_tool(tmp_path: Path) -> None:
    code = (
        "import os, time, pathlib; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    )
    task = asyncio.create_task(python(code, tmp_path))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(int((tmp_path / "pid").read_text()))


async def test_only_named_variables_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_SECRET", "planted")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    seen = await python("import os; print(dict(os.environ))", tmp_path, OWN="1")
    assert b"planted" not in seen
    assert b"proxy:3128" in seen
    assert b"OWN" in seen


async def test_a_tool_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be started"):
        await run_tool(tmp_path / "none", [], env={}, cwd=tmp_path, deadline_seconds=5)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer planted-canary",
        "password=planted-canary",
        '"token": "planted-canary"',
        "https://user:planted-canary@charts.example/x",
        "known planted-canary here",
    ],
)
def test_secrets_are_taken_out_of_messages(text: str) -> None:
    assert "planted-canary" not in scrub(text, ["planted-canary"] if "known" in text else [])


def test_control_characters_are_taken_out_and_long_texts_cut() -> None:
    assert scrub("a\x1b[31mb\x00c\rd") == "abcd"
    assert len(shortened("x" * 5000)) <= 1600


def test_texts_under_a_secrets_name_are_known_as_secrets() -> None:
    values = {"db": {"password": "p1"}, "image": "a", "tokens": [{"value": "x"}], "apiKey": ["k1"]}
    assert {"p1", "k1"} <= set(secret_values(values))
    assert "a" not in set(secret_values(values))


@pytest.fixture
def recording_tool(tmp_path: Path) -> Path:
    """Stands in for a binary where only its arguments matter: writes down what it is given."""
    tool = tmp_path / "tool"
    tool.write_text(
        f"#!{sys.executable}\n"
        "import json, os, pathlib, stat, sys\n"
        "values = next((a[9:] for a in sys.argv if a.startswith('--values=')), None)\n"
        "mode = stat.S_IMODE(os.stat(values).st_mode) if values else None\n"
        "content = pathlib.Path(values).read_text() if values else None\n"
        f"pathlib.Path({str(tmp_path / 'seen.json')!r}).write_text(\n"
        "    json.dumps([sys.argv[1:], mode, content, dict(os.environ)]))\n"
    )
    tool.chmod(stat.S_IRWXU)
    return tool


async def test_values_travel_in_a_private_file_that_is_gone_afterwards(
    recording_tool: Path, tmp_path: Path
) -> None:
    helm = Helm(recording_tool, tmp_path / "work", Path("/k"), history_max=5)
    upgrade = Upgrade(
        chart=Path("/c.tgz"), values={"a": "--kubeconfig=/evil"}, labels={"l": "v"},
        timeout_seconds=30,
    )  # fmt: skip
    await helm.upgrade(HelmTarget("web", "shop", as_user="system:serviceaccount:a:b"), upgrade)
    import json

    arguments, mode, content, env = json.loads((tmp_path / "seen.json").read_text())
    assert mode == 0o600
    assert json.loads(content) == {"a": "--kubeconfig=/evil"}
    assert arguments[-3:] == ["--", "web", "/c.tgz"]
    assert "--kubeconfig=/k" in arguments
    assert "--kube-as-user=system:serviceaccount:a:b" in arguments
    assert not any("evil" in argument for argument in arguments)
    assert env["HELM_PLUGINS"].startswith(str(tmp_path / "work"))
    assert list((tmp_path / "work").glob("values-*")) == []
