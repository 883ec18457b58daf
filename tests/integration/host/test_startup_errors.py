"""What keeps the local host from starting is said in one sentence."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

from tests.integration.host.running import DEADLINE_SECONDS, HOST_JSON, command, environment


def run_to_its_end(directory: Path, port: int = 0, **settings: str) -> tuple[int, str]:
    result = subprocess.run(
        command(directory, port), env=environment(directory, **settings), check=False,
        capture_output=True, text=True, timeout=DEADLINE_SECONDS,
    )  # fmt: skip
    return result.returncode, result.stderr


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(json.dumps(HOST_JSON))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        status, errors = run_to_its_end(tmp_path, port)
    assert status == 1
    assert f"port {port} is taken" in errors
    assert "Traceback" not in errors


def test_an_app_setting_that_is_not_set_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(json.dumps(HOST_JSON))
    status, errors = run_to_its_end(tmp_path, SAMPLE_SCHEDULE="")
    assert status == 1
    assert "set the app setting SAMPLE_SCHEDULE" in errors


def test_app_settings_of_the_local_file_are_used(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(json.dumps(HOST_JSON))
    (tmp_path / "local.settings.json").write_text(
        json.dumps({"Values": {"SAMPLE_SCHEDULE": "not a schedule"}})
    )
    environ = dict(environment(tmp_path))
    del environ["SAMPLE_SCHEDULE"]
    result = subprocess.run(
        command(tmp_path), env=environ, check=False,
        capture_output=True, text=True, timeout=DEADLINE_SECONDS,
    )  # fmt: skip
    assert "'not a schedule' is not an NCRONTAB schedule" in result.stderr
