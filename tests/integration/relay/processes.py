"""Relays as processes of their own: to kill, to stop and to continue."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.tether import tethered
from relay.settings import RelaySettings


@dataclass
class RelayProcess:
    """A running relay."""

    process: asyncio.subprocess.Process
    port: int
    http_port: int
    log: Path

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()

    def lines(self, event: str) -> list[dict[str, object]]:
        """What it logged of an event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]
        return [line.get("fields", {}) for line in lines if line["event"] == event]


@asynccontextmanager
async def relay_process(
    settings: RelaySettings, directory: Path, name: str, **environ: str
) -> AsyncIterator[RelayProcess]:
    """`python -m relay` with these settings, killed at the end if it still runs."""
    ready = directory / f"{name}.json"
    log = directory / f"{name}.log"
    variables = {
        "ARCBRIDGE_POSTGRES_URL": settings.postgres_url,
        "ARCBRIDGE_REDIS_URL": settings.redis_url,
        "ARCBRIDGE_CA_DIR": str(settings.ca_dir),
        "ARCBRIDGE_RELAY_PORT": "0",
        "ARCBRIDGE_RELAY_HTTP_PORT": "0",
        "ARCBRIDGE_RELAY_READY_FILE": str(ready),
        "ARCBRIDGE_RELAY_ID": name,
        "ARCBRIDGE_DRAIN_SECONDS": "1",
        "ARCBRIDGE_FLUSH_SECONDS": "0.2",
        "ARCBRIDGE_WAKE_SPREAD_SECONDS": "0.2",
        **environ,
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *tethered([sys.executable, "-m", "relay"]),
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
        )
    try:
        async with asyncio.timeout(20):
            while not ready.exists():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        listening = json.loads(ready.read_text())
        yield RelayProcess(process, listening["port"], listening["httpPort"], log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
