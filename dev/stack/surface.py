"""ArcBridge's public surface, and Kubernetes's, as a person at a terminal uses them.

Runs `arcbridge`, `kubectl` and `helm` as processes and reads what they print. Everything that the
stack and the demo do to clusters and extensions goes through here.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.stack.clusters import Cluster, tool
from dev.state import REPOSITORY
from dev.tether import tethered

COMMAND_SECONDS = 120.0


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
        process = await asyncio.create_subprocess_exec(
            *tethered(command), cwd=REPOSITORY, env=self._environ() | dict(extra or {}),
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                output, errors = await process.communicate(
                    stdin.encode() if stdin is not None else None
                )
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        if process.returncode != 0:
            shown = " ".join([name, *arguments])
            raise CommandFailedError(shown, process.returncode or 0, errors.decode())
        return output.decode()

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
