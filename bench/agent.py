"""The agent beside the bare tools: memory and CPU when idle, a chart's reconcile, a drift check.

What is idle is the agent process of a whole local stack (real control plane, relay, PostgreSQL and
Redis) with the production intervals and one ready chart. Reconciles run through the engine with a
journal on disk, beside the same helm binary with `--wait`, turn by turn on one simulated cluster;
the drift check beside the dry-run requests that it cannot do without, over kept connections and as
many at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import yaml

from agent.clock import SystemClock
from agent.journal.journal import Journal
from agent.kube.access import ClusterAccess
from agent.kube.client import KubeClient
from agent.reconcile.apply import PARALLEL, apply_objects
from agent.reconcile.belongings import Belongings
from agent.reconcile.drift import Desired, DriftChecker
from agent.reconcile.drift_rules import DriftRules
from agent.reconcile.engine import Drivers, Engine
from agent.reconcile.objects import EXTENSION_LABEL, Object, key_of
from agent.reconcile.record import RecordStore
from agent.reconcile.seam import EventDraft, ReconcileGate, ReconcileSettings
from bench.charts import GREETING, bare_helm, document, packed
from bench.figures import Figure
from dev.backends.process import free_port
from dev.kube.apart import simulated
from dev.stack.clusters import tool
from dev.stack.settings import FAST_SCHEDULES, StackSettings
from dev.stack.stack import stack
from dev.state import REPOSITORY
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase

CHART = REPOSITORY / "examples" / "web" / "chart"
IDLE_SECONDS = 60.0
SETTLE_SECONDS = 10.0
READY_SECONDS = 90.0
POLL_SECONDS = 0.2
ROUNDS = 5
OBJECTS = 200
MEMORY_LIMIT_MB, SHARE_LIMIT_PERCENT, RECONCILE_LIMIT, DRIFT_LIMIT = 110.0, 1.0, 1.25, 2.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def run() -> list[Figure]:
    """Every figure of the agent."""
    return asyncio.run(_run())


async def _run() -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory() as name:
        figures += await idle_figures(Path(name))
    with tempfile.TemporaryDirectory() as name:
        async with simulated(Path(name)) as kubeconfig:
            figures += await reconcile_figures(Path(name), kubeconfig)
            figures += await drift_figures(kubeconfig)
    return figures


# Idle


async def idle_figures(directory: Path) -> list[Figure]:
    """Memory and CPU time of a connected agent that has nothing to do, over a minute."""
    settings = StackSettings(
        state=directory,
        http_port=free_port(),
        relay_port=free_port(),
        durable=False,
        heartbeat_seconds=30,
        poll_seconds=60,
        schedules=FAST_SCHEDULES,
        simulated_clusters=("idle",),
    )
    async with stack(settings, lambda _: None) as running:
        admin = await running.surface("admin")
        await running.connect_all(admin)
        await admin.arcbridge("apply", "-f", str(_manifest(directory)))

        async def ready() -> bool:
            # A cluster is known only once its agent has registered: the list is empty until then.
            found = await admin.arcbridge_json("cluster", "list")
            return any(each["extensions"]["ready"] == 1 for each in found)

        await _until(ready)
        await asyncio.sleep(SETTLE_SECONDS)
        pid = running.agents["idle"].pid
        if pid is None:
            raise RuntimeError("the agent ended")
        cpu, most = _cpu_seconds(pid), 0.0
        for _ in range(int(IDLE_SECONDS)):
            await asyncio.sleep(1)
            most = max(most, _resident_mb(pid))
        share = (_cpu_seconds(pid) - cpu) / IDLE_SECONDS * 100
    return [
        Figure("idle agent: resident memory", most, "MB", limit=MEMORY_LIMIT_MB),
        Figure("idle agent: share of a core", share, "%", limit=SHARE_LIMIT_PERCENT),
    ]


def _manifest(directory: Path) -> Path:
    """An extension that is the example's chart, with the default policies."""
    shutil.copytree(CHART, directory / "chart")
    file = directory / "web.yaml"
    spec = {
        "placement": {},
        "source": {"helm": {"chartPath": "chart"}},
        "namespace": "idle",
        "rollout": {"stages": [{"name": "all", "soak": "0s"}]},
    }
    manifest = {
        "apiVersion": "arcbridge.io/v1",
        "kind": "Extension",
        "metadata": {"name": "web"},
        "spec": spec,
    }
    file.write_text(yaml.safe_dump(manifest))
    return file


async def _until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            if await check():
                return
            await asyncio.sleep(POLL_SECONDS)


def _cpu_seconds(pid: int) -> float:
    """Of the process and of the tools it ran."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS


def _resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


# A chart's reconcile


class Watched:
    """The engine's sink: a journal on disk, and a look at what was recorded."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._ready: dict[tuple[str, int], asyncio.Future[None]] = {}

    def ready(self, extension: str, generation: int) -> asyncio.Future[None]:
        """Done once that generation is Ready; fails when it failed."""
        key = (extension, generation)
        return self._ready.setdefault(key, asyncio.get_running_loop().create_future())

    async def record(self, draft: EventDraft) -> None:
        await self._journal.record(draft)
        waiting = self._ready.get((draft.extension, draft.observed_generation))
        if waiting is None or waiting.done():
            return
        if draft.phase is ExtensionPhase.READY:
            waiting.set_result(None)
        elif draft.phase is ExtensionPhase.FAILED:
            waiting.set_exception(RuntimeError(draft.message))


async def reconcile_figures(directory: Path, kubeconfig: Path) -> list[Figure]:
    """Install and upgrade of the example's chart, by the engine and by bare helm in turns."""
    settings = ReconcileSettings(
        helm=Path(tool("helm")),
        kubectl=Path(tool("kubectl")),
        work_dir=directory / "work",
        kubeconfig=kubeconfig,
    )
    chart = packed(CHART)
    archive = directory / "chart.tgz"
    archive.write_bytes(chart)
    took: dict[str, list[float]] = {}
    async with (
        Journal.open(directory / "journal", SystemClock()) as journal,
        await KubeClient.connect(kubeconfig) as kube,
    ):
        sink = Watched(journal)
        engine = Engine(
            kube=kube,
            drivers=Drivers.from_settings(settings),
            sink=sink,
            settings=settings,
            clock=SystemClock(),
        )
        working = asyncio.create_task(engine.run())
        try:
            for turn in range(ROUNDS + 1):
                name = f"ours-{turn}"
                for generation, step in enumerate(("install", "upgrade"), start=1):
                    began = time.perf_counter()
                    engine.submit(
                        document(name, chart, generation), reconcile_allowed=ReconcileGate()
                    )
                    async with asyncio.timeout(READY_SECONDS):
                        await sink.ready(name, generation)
                    ours = time.perf_counter() - began
                    bare = await bare_helm(kubeconfig, directory, f"bare-{turn}", archive, step)
                    if turn:  # the first one fills every cache, on both sides
                        took.setdefault(step, []).append(ours)
                        took.setdefault(f"bare {step}", []).append(bare)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    return [
        figure
        for step in ("install", "upgrade")
        for figure in _beside(
            f"{step} of a chart", took[step], took[f"bare {step}"], RECONCILE_LIMIT, "helm --wait"
        )
    ]


# A drift check


async def drift_figures(kubeconfig: Path) -> list[Figure]:
    """A drift check of 200 objects beside 200 bare dry-run requests."""
    ours, bare = [], []
    async with await KubeClient.connect(kubeconfig) as kube:
        wanted = [_object(number) for number in range(OBJECTS)]
        await apply_objects(kube, wanted, failure=ReasonCode.INSTALL_FAILED, force=True)
        desired = Desired("many", {key_of(obj): obj for obj in wanted}, "arcbridge")
        belongings = Belongings(RecordStore(kube, "default"))
        checker = DriftChecker(kube, SystemClock(), belongings, termination_seconds=60)
        async with bare_dry_runs(kubeconfig, wanted) as dry_run_all:
            for turn in range(ROUNDS + 1):
                began = time.perf_counter()
                found = await checker.check_all(desired, DriftRules((), ()))
                checked = time.perf_counter()
                await dry_run_all()
                if found:
                    raise RuntimeError(f"drift where there is none: {found}")
                if turn:
                    ours.append(checked - began)
                    bare.append(time.perf_counter() - checked)
    return _beside(f"drift check of {OBJECTS} objects", ours, bare, DRIFT_LIMIT, "dry-run requests")


def _object(number: int) -> Object:
    """Half ConfigMaps, half Services."""
    meta = {"name": f"o{number:03}", "namespace": "default", "labels": {EXTENSION_LABEL: "many"}}
    if number % 2:
        data = {"greeting": GREETING, "number": str(number)}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
    spec = {"selector": {"app": f"o{number}"}, "ports": [{"name": "http", "port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


@asynccontextmanager
async def bare_dry_runs(
    kubeconfig: Path, objects: list[Object]
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Gives a call that sends each object as a server-side-apply dry run, and nothing more."""
    access = await ClusterAccess.load(kubeconfig)
    headers = {**await access.headers(), "Content-Type": "application/apply-patch+yaml"}
    params = {"fieldManager": "arcbridge", "force": "true", "dryRun": "All"}
    slots = asyncio.Semaphore(PARALLEL)
    async with httpx.AsyncClient(verify=access.tls or False, trust_env=False, timeout=30) as http:

        async def send(obj: Object) -> None:
            plural = f"{obj['kind'].lower()}s"
            path = f"/api/v1/namespaces/default/{plural}/{obj['metadata']['name']}"
            async with slots:
                answer = await http.patch(
                    access.host + path, params=params, headers=headers, content=json.dumps(obj)
                )
            answer.raise_for_status()
            answer.json()

        async def send_all() -> None:
            await asyncio.gather(*(send(obj) for obj in objects))

        yield send_all


def _beside(
    name: str, ours: list[float], bare: list[float], limit: float, beside: str
) -> list[Figure]:
    """Medians, and their ratio against its limit."""
    median, bare_median = statistics.median(ours), statistics.median(bare)
    return [
        Figure(name, median, "s", bare=bare_median),
        Figure(f"{name} over bare {beside}", median / bare_median, "x", limit=limit),
    ]
