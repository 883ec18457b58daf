"""A request's trace goes from the caller through the Function into the services."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.running import RunningControlPlane, program

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def traced(running: RunningControlPlane, tmp_path: Path) -> Path:
    """Publishes once through a host of its own that writes its spans to this file."""
    file = tmp_path / "spans.jsonl"
    environ = {**running.environ, "ARCBRIDGE_TRACE_FILE": str(file)}
    arguments = ["dev.host", "--port", "0", "--state", str(tmp_path / "host")]
    manifest = {
        "metadata": {"name": "traced"},
        "spec": {
            "placement": {"matchLabels": {"env": "nowhere"}},
            "namespace": "web",
            "source": {"kustomize": {"files": {"kustomization.yaml": "resources: []\n"}}},
        },
    }
    headers = {
        **running.bearer("operator@demo"),
        "traceparent": f"00-{CALLER}-00f067aa0ba902b7-01",
    }
    with (
        program(arguments, tmp_path / "ready.json", environ) as url,
        httpx.Client(base_url=url, timeout=30, trust_env=False) as http,
    ):
        http.post("/api/v1/desired", headers=headers, json=manifest).raise_for_status()
    return file


def test_publishing_is_one_trace_from_the_caller_to_the_service(traced: Path) -> None:
    spans = [json.loads(line) for line in traced.read_text().splitlines()]
    mine = [each for each in spans if CALLER in json.dumps(each)]
    names = {each["name"] for each in mine}
    assert {"POST /api/v1/desired", "extension.publish"} <= names


def test_importing_the_app_touches_no_log_handler() -> None:
    code = "import logging, function_app; print(len(logging.getLogger().handlers))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert result.stdout.strip() == "0"
