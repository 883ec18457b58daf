"""One agent process: set up, take part in the election, serve health, stop when asked to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.clock import SystemClock
from agent.credentials.secret import IDENTITY_SECRET, read_secret
from agent.health import HealthServer
from agent.kube.client import KubeClient
from agent.leader import Leader
from agent.lease.elector import Elector
from agent.metrics import AgentMetrics
from agent.reconcile.engine import Drivers, Engine
from agent.reconcile.seam import ReconcileSettings, StatusSink
from agent.settings import AgentProcessSettings
from shared.telemetry.logs import get_logger

log = get_logger(__name__)


async def serve(settings: AgentProcessSettings) -> None:
    """Run until SIGTERM or SIGINT. Raises AgentError where the process cannot go on."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine always runs in a task
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_once(task))
    async with await KubeClient.connect(settings.kubeconfig) as kube:
        with suppress(asyncio.CancelledError):
            await _take_part(settings, kube)
    log.info("agent stopped")


async def _take_part(settings: AgentProcessSettings, kube: KubeClient) -> None:
    clock, metrics = SystemClock(), AgentMetrics()
    elector = Elector(
        kube,
        settings.namespace,
        settings.instance,
        settings.lease_seconds,
        clock,
        on_leading=metrics.leading.set,
        was_led=has_an_identity(kube, settings.namespace),
    )
    # A plain handler, not the loop's: it must run before anything that waits in the loop does.
    signal.signal(signal.SIGCONT, lambda *_: elector.check_after_pause())
    leader = Leader(
        settings, kube, clock, metrics, reconcilers(settings, kube), term=lambda: elector.term
    )
    health = HealthServer(
        alive=lambda: not elector.leading or elector.lease_left_seconds > 0,
        ready=lambda: True,
        metrics=metrics,
    )
    async with health.listen(settings.http_host, settings.http_port) as port:
        with _ready_file(settings.ready_file, port):
            log.info("agent started", instance=settings.instance, port=port)
            await elector.run(leader.run)


def has_an_identity(kube: KubeClient, namespace: str) -> Callable[[], Awaitable[bool]]:
    """Asks whether the agent has, or has asked for, an identity: then one of it has led."""

    async def ask() -> bool:
        return bool(await read_secret(kube, namespace, IDENTITY_SECRET))

    return ask


def reconcilers(settings: AgentProcessSettings, kube: KubeClient) -> Callable[[StatusSink], Engine]:
    """Makes the engine of a member. It acts in the reconciler's name, not in the agent's own."""
    work_dir = settings.state_dir / "work"

    def new(sink: StatusSink) -> Engine:
        work_dir.mkdir(mode=0o700, exist_ok=True)
        own = ReconcileSettings(
            helm=settings.helm,
            kubectl=settings.kubectl,
            work_dir=work_dir,
            state_namespace=settings.namespace,
            kubeconfig=settings.kubeconfig,
            cluster=settings.cluster,
            hosts_allowed=settings.allowed_hosts,
            private_hosts=settings.private_hosts,
            private_networks=settings.private_networks,
            git_limit_mib=settings.git_limit_mib,
        )
        return Engine(
            kube=kube.acting_as(settings.impersonate),
            drivers=Drivers.from_settings(own),
            sink=sink,
            settings=own,
            clock=SystemClock(),
        )

    return new


@contextmanager
def _ready_file(path: Path | None, port: int) -> Iterator[None]:
    """The file says that the process serves, and where; it goes with the process."""
    if path is None:
        yield
        return
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(json.dumps({"pid": os.getpid(), "port": port}))
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _stop_once(task: asyncio.Task[object]) -> Callable[[], None]:
    """A second signal does not cut the clean-up short; SIGKILL does, and is survived."""
    asked = False

    def stop() -> None:
        nonlocal asked
        if not asked:
            asked = True
            log.info("asked to stop")
            task.cancel()

    return stop
