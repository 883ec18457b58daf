"""ArcBridge's public surface, and Kubernetes's, as a person at a terminal uses them.

Runs `arcbridge`, `kubectl` and `helm` as processes and reads what they print. Everything that the
stack and the demo do to clusters and extensions goes through here.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from dev.stack.clusters import Cluster, tool
from dev.state import REPOSITORY
from dev.tether import tethered

COMMAND_SECONDS = 120.0
HTTP_SECONDS = 30.0
ROLLOUT_SECONDS = 180.0
LINE_BYTES = 1_048_576


class CommandFailedError(Exception):
    """A command ended with another status than 0."""

    def __init__(self, command: str, status: int, errors: str) -> None:
        super().__init__(f"`{command}` ended with status {status}: {errors.strip()}")
        self.status = status


@dataclass(frozen=True)
class Surface:
    """One person's tools: signed in with `token`, files below `home`."""

    server: str
    token: str = field(repr=False)
    home: Path

    async def arcbridge(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> str:
        """What `arcbridge` prints. Raises CommandFailedError, TimeoutError."""
        command = [sys.executable, "-m", "arcbridge", *arguments]
        return await self._run("arcbridge", command, arguments, seconds=seconds)

    async def arcbridge_json(self, *arguments: str) -> Any:
        """What `arcbridge -o json` prints, parsed."""
        return json.loads(await self.arcbridge("-o", "json", *arguments))

    async def kubectl(self, cluster: Cluster, *arguments: str, stdin: str | None = None) -> str:
        """What `kubectl` prints."""
        return await self._on(cluster, "kubectl", arguments, stdin)

    async def kubectl_json(self, cluster: Cluster, *arguments: str) -> Any:
        """What `kubectl -o json` prints, parsed."""
        return json.loads(await self.kubectl(cluster, *arguments, "-o", "json"))

    async def helm_json(self, cluster: Cluster, *arguments: str) -> Any:
        """What `helm -o json` prints, parsed."""
        return json.loads(await self._on(cluster, "helm", (*arguments, "-o", "json"), None))

    @asynccontextmanager
    async def kubectl_stream(
        self, cluster: Cluster, *arguments: str
    ) -> AsyncIterator[asyncio.StreamReader]:
        """What `kubectl` prints while it runs; it is ended with the block."""
        extra = {"KUBECONFIG": str(cluster.kubeconfig)}
        async with self._started([tool("kubectl"), *arguments], extra) as process:
            if process.stdout is None:
                raise CommandFailedError("kubectl", 0, "it has no output")
            yield process.stdout

    async def follow(self, rollout_id: str, tell: Callable[[str], None]) -> int:
        """`arcbridge rollout watch`: `tell` gets each line; gives the exit status."""
        command = [sys.executable, "-m", "arcbridge", "rollout", "watch", rollout_id]
        async with self._started([*command, "--interval", "0.5"], {}) as process:
            if process.stderr is None:
                raise CommandFailedError("arcbridge rollout watch", 0, "it has no output")
            async with asyncio.timeout(ROLLOUT_SECONDS):
                while line := await process.stderr.readline():
                    tell(line.decode(errors="replace").strip())
                return await process.wait()

    async def http_get(self, path: str) -> Any:
        """The JSON answer of the HTTP API. Raises httpx.HTTPError."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.server, headers=headers) as http:
            answer = await http.get(path, timeout=HTTP_SECONDS)
            return answer.raise_for_status().json()

    async def _on(
        self, cluster: Cluster, name: str, arguments: tuple[str, ...], stdin: str | None
    ) -> str:
        extra = {"KUBECONFIG": str(cluster.kubeconfig)}
        return await self._run(name, [tool(name), *arguments], arguments, extra=extra, stdin=stdin)

    async def _run(
        self,
        name: str,
        command: list[str],
        arguments: tuple[str, ...],
        *,
        extra: Mapping[str, str] | None = None,
        stdin: str | None = None,
        seconds: float = COMMAND_SECONDS,
    ) -> str:
        async with self._started(command, extra or {}) as process, asyncio.timeout(seconds):
            output, errors = await process.communicate((stdin or "").encode())
        if process.returncode != 0:
            shown = " ".join([name, *arguments])
            raise CommandFailedError(shown, process.returncode or 0, errors.decode())
        return output.decode()

    @asynccontextmanager
    async def _started(
        self, command: list[str], extra: Mapping[str, str]
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            *tethered(command), cwd=REPOSITORY, env=self._environ() | dict(extra),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, limit=LINE_BYTES, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        return kept | {
            "HOME": str(self.home),
            "PYTHONPATH": str(REPOSITORY),
            "ARCBRIDGE_SERVER": self.server,
            "ARCBRIDGE_TOKEN": self.token,
            "ARCBRIDGE_CONFIG": str(self.home / "config.yaml"),
            "NO_COLOR": "1",
        }
