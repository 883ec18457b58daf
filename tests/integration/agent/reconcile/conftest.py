"""A cluster (simulated, or the one of ARCBRIDGE_TEST_KUBECONFIG) and engines that run on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.clock import SystemClock
from agent.kube.client import KubeClient
from agent.reconcile.engine import Drivers, Engine
from agent.reconcile.seam import EventDraft, ReconcileGate, ReconcileSettings
from shared.contract.desired import DesiredExtension
from shared.contract.states import ExtensionPhase
from tests.integration.agent.reconcile.sources import document

BIN = Path(os.environ.get("ARCBRIDGE_STATE_DIR", ".arcbridge")).resolve() / "bin"


@pytest.fixture(autouse=True)
def _only_where_there_is_a_real_cluster(request: pytest.FixtureRequest) -> None:
    """The simulated API server has no RBAC; what tests rights needs a real one."""
    wanted = request.node.get_closest_marker("real_cluster") is not None
    if wanted and not os.environ.get("ARCBRIDGE_TEST_KUBECONFIG"):
        pytest.skip("needs ARCBRIDGE_TEST_KUBECONFIG: the simulated API server has no RBAC")


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig of the cluster under test."""
    real = os.environ.get("ARCBRIDGE_TEST_KUBECONFIG")
    if real:
        yield Path(real)
        return
    directory = tmp_path_factory.mktemp("kube")
    ready = directory / "ready.json"
    arguments = ["--clusters", "c", "--kubeconfig-dir", str(directory), "--ready-file", str(ready)]
    process = subprocess.Popen([sys.executable, "-m", "dev.kube", *arguments])
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None, "the simulated API server ended"
            assert time.monotonic() < deadline, "the simulated API server does not start"
            time.sleep(0.05)
        yield Path(json.loads(ready.read_text())["clusters"]["c"]["kubeconfig"])
    finally:
        process.terminate()
        process.wait(20)


@dataclass
class Tools:
    """The real helm and kubectl, asked for what is really there."""

    kubeconfig: Path
    home: Path

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """kubectl's standard output."""
        return self._run("kubectl", *arguments, stdin=stdin, check=check)

    def helm(self, *arguments: str, check: bool = True) -> str:
        """helm's standard output."""
        return self._run("helm", *arguments, check=check)

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get ARGUMENTS -o json`."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def exists(self, *arguments: str) -> bool:
        """Whether `kubectl get ARGUMENTS` finds something."""
        return bool(self.kubectl("get", *arguments, "--ignore-not-found", "-o", "name").strip())

    def history(self, release: str, namespace: str) -> list[dict[str, Any]]:
        """`helm history`."""
        found: list[dict[str, Any]] = json.loads(
            self.helm("history", release, "-n", namespace, "-o", "json")
        )
        return found

    def _run(self, tool: str, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        finished = subprocess.run(
            [str(BIN / tool), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={"HOME": str(self.home), "PATH": ""},
            check=False,
        )
        if check and finished.returncode:
            raise AssertionError(f"{tool} {' '.join(arguments)}: {finished.stderr}")
        return finished.stdout


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tools keep what they learn of the cluster: asking anew takes them a second."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture
def tools(kubeconfig: Path, homes: Path) -> Tools:
    """helm and kubectl."""
    return Tools(kubeconfig, homes)


@pytest.fixture
def namespace(tools: Tools) -> Iterator[str]:
    """A namespace of this test's own, that does not exist yet."""
    name = f"t-{secrets.token_hex(4)}"
    yield name
    tools.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


@dataclass
class RunningEngine:
    """An engine, what it reported, and what it is asked for."""

    engine: Engine
    events: list[EventDraft] = field(default_factory=list)
    recorded: asyncio.Event = field(default_factory=asyncio.Event)

    async def record(self, draft: EventDraft) -> None:
        """The journal's place."""
        self.events.append(draft)
        self.recorded.set()

    def submit(self, *extensions: DesiredExtension, gate: ReconcileGate | None = None) -> None:
        """Hand over a document."""
        self.engine.submit(document(*extensions), reconcile_allowed=gate or ReconcileGate())

    async def until(
        self, wanted: Callable[[EventDraft], bool], *, seconds: float = 90
    ) -> EventDraft:
        """The first event, reported or yet to be, that is wanted."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            for event in self.events:
                if wanted(event):
                    return event
            if asyncio.get_running_loop().time() > deadline:
                told = [(e.phase.value, e.reason.value, e.message) for e in self.events]
                raise AssertionError(f"it was not said; what was said: {told}")
            self.recorded.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.recorded.wait(), 0.5)

    async def ready(self, name: str, generation: int = 1, *, seconds: float = 90) -> EventDraft:
        """The extension's Ready event of that generation."""
        return await self._phase(name, generation, ExtensionPhase.READY, seconds)

    async def failed(self, name: str, generation: int = 1, *, seconds: float = 90) -> EventDraft:
        """The extension's Failed event of that generation."""
        return await self._phase(name, generation, ExtensionPhase.FAILED, seconds)

    async def removed(self, name: str, generation: int, *, seconds: float = 90) -> EventDraft:
        """The extension's Removed event."""
        return await self._phase(name, generation, ExtensionPhase.REMOVED, seconds)

    async def _phase(
        self, name: str, generation: int, phase: ExtensionPhase, seconds: float
    ) -> EventDraft:
        def wanted(event: EventDraft) -> bool:
            return (event.extension, event.observed_generation, event.phase) == (
                name,
                generation,
                phase,
            )

        return await self.until(wanted, seconds=seconds)


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
        async with await KubeClient.connect(own.kubeconfig) as kube:
            running = RunningEngine.__new__(RunningEngine)
            engine = Engine(
                kube=kube.acting_as(as_user),
                drivers=Drivers.from_settings(own),
                sink=running,
                settings=own,
                clock=SystemClock(),
            )
            RunningEngine.__init__(running, engine)
            task = asyncio.create_task(engine.run())
            try:
                yield running
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    yield start
    tools.kubectl(
        "delete", "namespace", settings.state_namespace, "--ignore-not-found", "--wait=false"
    )
