"""Runs the local host over the small app, for the tests beside this file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

DEADLINE_SECONDS = 20
HOST_JSON = {
    "version": "2.0",
    "functionTimeout": "00:00:03",
    "extensions": {"http": {"routePrefix": "api"}},
}


@dataclass
class Running:
    """A host that runs: its client, process, and what the app noted."""

    http: httpx.AsyncClient
    process: asyncio.subprocess.Process
    directory: Path

    def notes(self) -> list[str]:
        log = self.directory / "app.log"
        return log.read_text().splitlines() if log.exists() else []

    async def until_noted(self, text: str) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not any(text in line for line in self.notes()):
                await asyncio.sleep(0.05)

    def master_key(self) -> str:
        key: str = json.loads((self.directory / "state" / "keys.json").read_text())["master"]
        return key


def command(directory: Path, port: int = 0) -> list[str]:
    return [
        sys.executable, "-m", "dev.host", "--app", "tests.integration.host.sample_app:app",
        "--directory", str(directory), "--state", str(directory / "state"),
        "--port", str(port), "--ready-file", str(directory / "ready.json"),
    ]  # fmt: skip


def environment(directory: Path, **settings: str) -> Mapping[str, str]:
    return {
        **os.environ,
        "SAMPLE_LOG": str(directory / "app.log"),
        "SAMPLE_SCHEDULE": "0 0 5 * * *",
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1000",
        **settings,
    }


@asynccontextmanager
async def host(directory: Path, **settings: str) -> AsyncIterator[Running]:
    (directory / "host.json").write_text(json.dumps(HOST_JSON))
    ready = directory / "ready.json"
    ready.unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        *command(directory), env=environment(directory, **settings)
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not ready.exists():
                await asyncio.sleep(0.02)
        url = json.loads(ready.read_text())["url"]
        async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_SECONDS) as client:
            yield Running(client, process, directory)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await process.wait()
