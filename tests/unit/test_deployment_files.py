"""What a deployment of the Functions app takes along, and what the host is told."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from dev.host.config import read_host_json
from dev.package import deployed_files

ROOT = Path(__file__).resolve().parents[2]
DEPLOYED = {"function_app.py", "functions", "shared", "host.json", "requirements.txt"}


def tracked_files() -> list[str]:
    return subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    ).stdout.splitlines()


def test_only_what_the_control_plane_runs_is_deployed() -> None:
    assert {file.split("/")[0] for file in set(deployed_files())} <= DEPLOYED


def test_no_grpc_code_and_no_secret_settings_are_deployed() -> None:
    assert not [file for file in set(deployed_files()) if "rpc/" in file or "settings.json" in file]


def test_everything_the_control_plane_runs_is_deployed() -> None:
    expected = {
        file
        for file in tracked_files()
        if file.split("/")[0] in DEPLOYED and not file.startswith("shared/rpc/")
    }
    assert set(deployed_files()) == expected


def test_the_host_file_is_read_by_the_local_host() -> None:
    config = read_host_json(ROOT / "host.json")
    assert config.route_prefix == "api"
    assert config.function_timeout.total_seconds() == 300


def test_the_sample_settings_hold_no_real_secret() -> None:
    values = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    hosts = re.findall(r"(?:https?|redis|postgresql)://(?:[^@/]*@)?([^:/]+)", json.dumps(values))
    assert set(hosts) == {"127.0.0.1"}


def test_the_ignore_file_takes_nothing_back_in() -> None:
    lines = (ROOT / ".funcignore").read_text().splitlines()
    assert not [line for line in lines if line.startswith("!")]
