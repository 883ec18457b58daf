"""A cluster (simulated, or the one of ARCBRIDGE_TEST_KUBECONFIG) and engines that run on it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.reconcile.seam import ReconcileSettings
from dev.trial.running import RunningEngine, running_engine
from dev.trial.tools import Tools

__all__ = ["BIN", "RunningEngine", "StartEngine", "Tools"]

BIN = Path(os.environ.get("ARCBRIDGE_STATE_DIR", ".arcbridge")).resolve() / "bin"


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig of the cluster under test."""
    real = os.environ.get("ARCBRIDGE_TEST_KUBECONFIG")
    if real:
        yield Path(real)
        return
    with cluster_of_its_own(tmp_path_factory.mktemp("kube")) as (_, path):
        yield path


@contextlib.contextmanager
def cluster_of_its_own(directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A simulated cluster: its process, which may be ended, and its kubeconfig."""
    ready = directory / "ready.json"
    arguments = ["--clusters", "c", "--kubeconfig-dir", str(directory), "--ready-file", str(ready)]
    process = subprocess.Popen([sys.executable, "-m", "dev.kube", *arguments])
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None, "the simulated API server ended"
            assert time.monotonic() < deadline, "the simulated API server does not start"
            time.sleep(0.05)
        yield process, Path(json.loads(ready.read_text())["clusters"]["c"]["kubeconfig"])
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tools keep what they learn of the cluster: asking anew takes them a second."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture
def tools(kubeconfig: Path, homes: Path) -> Tools:
    """helm and kubectl."""
    return Tools(kubeconfig, homes, BIN)


@pytest.fixture
def namespace(tools: Tools) -> Iterator[str]:
    """A namespace of this test's own, that does not exist yet."""
    name = f"t-{secrets.token_hex(4)}"
    yield name
    tools.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


StartEngine = Callable[..., Any]


@pytest.fixture
def settings(kubeconfig: Path, homes: Path) -> ReconcileSettings:
    """Settings with short waits and a state namespace of this test's own."""
    return ReconcileSettings(
        helm=BIN / "helm",
        kubectl=BIN / "kubectl",
        work_dir=homes / "work",
        state_namespace=f"s-{secrets.token_hex(4)}",
        kubeconfig=kubeconfig,
        retry_base_seconds=0.2,
        correction_base_seconds=0.2,
        health_grace_seconds=2.0,
        own_pending_seconds=0.3,
        foreign_pending_seconds=0.6,
        event_quiet_seconds=0.2,
    )


@pytest.fixture
async def start_engine(
    settings: ReconcileSettings, tools: Tools
) -> AsyncIterator[Callable[..., contextlib.AbstractAsyncContextManager[RunningEngine]]]:
    """Start an engine for the length of a block, with settings changed as told."""

    @contextlib.asynccontextmanager
    async def start(*, as_user: str | None = None, **changes: Any) -> AsyncIterator[RunningEngine]:
        own = replace(settings, **changes)
        async with running_engine(own, as_user=as_user) as running:
            yield running

    yield start
    tools.kubectl(
        "delete", "namespace", settings.state_namespace, "--ignore-not-found", "--wait=false"
    )
