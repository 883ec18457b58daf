"""Clusters for tests: a real one if ARCBRIDGE_TEST_KUBECONFIG names it, else a simulated one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dev.state import REPOSITORY
from dev.tether import tethered
from tests.integration.kube.target import KubeTarget

READY_SECONDS = 30.0


@contextmanager
def simulator(directory: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    """`python -m dev.kube` for the length of the block; gives its ready file and process id."""
    ready = directory / "ready.json"
    ready.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "dev.kube", "--kubeconfig-dir", str(directory),
        "--ready-file", str(ready), *arguments,
    ]  # fmt: skip
    with (directory / "server.log").open("ab") as log:
        process = subprocess.Popen(
            tethered(command), cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        end = time.monotonic() + READY_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail((directory / "server.log").read_text())
            time.sleep(0.02)
        yield {**json.loads(ready.read_text()), "pid": process.pid}
    finally:
        process.terminate()
        process.wait(timeout=READY_SECONDS)


@pytest.fixture(scope="session")
def kube_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, bool]]:
    """The kubeconfig of a cluster, and whether it is simulated."""
    real = os.environ.get("ARCBRIDGE_TEST_KUBECONFIG")
    if real:
        yield Path(real).absolute(), False
        return
    directory = tmp_path_factory.mktemp("kube")
    with simulator(directory, "--clusters", "test", "--ready-delay", "0.1") as running:
        yield Path(running["clusters"]["test"]["kubeconfig"]), True


@pytest.fixture(scope="session")
def kube_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for the tools: their caches serve all tests and end with them."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def kube_target(kube_cluster: tuple[Path, bool], kube_home: Path) -> Iterator[KubeTarget]:
    """A cluster with an empty namespace of this test's own."""
    kubeconfig, simulated = kube_cluster
    name = f"arcbridge-test-{uuid.uuid4().hex[:10]}"
    target = KubeTarget(kubeconfig, name, kube_home, simulated)
    target.kubectl("create", "namespace", name)
    try:
        yield target
    finally:
        target.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def app(kube_target: KubeTarget) -> KubeTarget:
    """A cluster with the sample application applied by kubectl, and ready."""
    manifest = Path(__file__).with_name("data") / "app.yaml"
    kube_target.kubectl("apply", "-f", str(manifest))
    kube_target.kubectl("rollout", "status", "deployment/app", "--timeout=60s")
    return kube_target
