"""A simulated cluster in a process of its own, for as long as a block runs.

Beside what is measured or tried, so that neither takes the other's time on an event loop.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dev.state import REPOSITORY
from dev.tether import tethered

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05


@asynccontextmanager
async def simulated(directory: Path, *options: str, name: str = "sim") -> AsyncIterator[Path]:
    """Start it and give its kubeconfig, which stands in `directory`; `options` are those of
    `python -m dev.kube`. Raises RuntimeError where it does not start."""
    ready = directory / "kube.json"
    command = [sys.executable, "-m", "dev.kube", "--clusters", name, *options]
    command += ["--kubeconfig-dir", str(directory), "--ready-file", str(ready)]
    process = await asyncio.create_subprocess_exec(
        *tethered(command), cwd=REPOSITORY, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not ready.exists():
                if process.returncode is not None:
                    raise RuntimeError("the simulated API server ended")
                await asyncio.sleep(_POLL_SECONDS)
        yield Path(json.loads(ready.read_text())["clusters"][name]["kubeconfig"])
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
