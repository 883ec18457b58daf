"""kill -9 of the agent at work on an overlay; of a chart: tests/e2e/test_kill_upgrade.py."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path

from agent.reconcile.seam import ReconcileSettings
from shared.contract.desired import DesiredExtension
from tests.integration.agent.reconcile.conftest import BIN, Tools
from tests.integration.agent.reconcile.sources import (
    Release,
    config_map,
    document,
    overlay,
)

KILLS = int(os.environ.get("ARCBRIDGE_TEST_KILLS") or 2)
MODULE = "tests.integration.agent.reconcile.engine_process"


class Agent:
    """Starts engines in processes of their own and kills them with all they have started."""

    def __init__(self, settings: ReconcileSettings, directory: Path) -> None:
        self._settings = settings
        self._document = directory / "document.json"

    async def start(self, *extensions: DesiredExtension) -> asyncio.subprocess.Process:
        """An engine at work on these."""
        self._document.write_text(document(*extensions).model_dump_json(by_alias=True))
        arguments = [
            str(self._settings.kubeconfig),
            str(self._settings.work_dir),
            self._settings.state_namespace,
            str(self._document),
            str(BIN),
        ]
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", MODULE, *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        """SIGKILL; helm dies with it, because the kernel was asked to see to that."""
        process.send_signal(signal.SIGKILL)
        await process.communicate()

    async def until_ready(self, process: asyncio.subprocess.Process, generation: int) -> None:
        """Return once the engine says Ready for that generation."""
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while line := await process.stdout.readline():
                if line.decode().split() == ["Ready", str(generation)]:
                    return
        raise AssertionError("the engine ended")


async def test_an_overlay_survives_kills_and_leaves_no_orphans(
    settings: ReconcileSettings, tools: Tools, namespace: str, tmp_path: Path
) -> None:
    agent = Agent(settings, tmp_path)
    release = Release("over", namespace, overlay(config_map("cm-0", a="1")))
    rng = random.Random(11)  # noqa: S311 - moments, not secrets
    for number in range(KILLS):
        process = await agent.start(release.present())
        await asyncio.sleep(rng.uniform(0.4, 1.4))
        await agent.kill(process)
        names = [f"cm-{number + 1}", *(f"cm-{number + 1}-{i}" for i in range(8))]
        release = replace(
            release.next(), source=overlay(*(config_map(name, a="1") for name in names))
        )
    process = await agent.start(release.present())
    await agent.until_ready(process, release.generation)
    await agent.kill(process)
    found = tools.get("cm", "-n", namespace, "-l", "arcbridge.io/extension=over")
    assert {item["metadata"]["name"] for item in found["items"]} == set(names)
