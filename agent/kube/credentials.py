"""How a request says who it comes from: a token, a file that holds one, or a credential plugin."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from agent.errors import KubeUnreachable

REREAD_SECONDS = 60.0
"""The kubelet renews a projected token well before it ends."""
PLUGIN_SECONDS = 60.0
_EARLY_SECONDS = 30.0
_QUOTED = 300


class Credential(Protocol):
    """Proves who we are."""

    async def authorization(self) -> str | None:
        """The value of the Authorization header. Raises KubeUnreachable."""
        ...


class Anonymous:
    """Nothing, or the client certificate of the TLS context."""

    async def authorization(self) -> str | None:
        return None


@dataclass(frozen=True)
class Fixed:
    """A token, or a user and a password, that the kubeconfig itself holds."""

    value: str = field(repr=False)

    @classmethod
    def basic(cls, user: str, password: str) -> Fixed:
        """HTTP's basic scheme (RFC 7617)."""
        return cls(f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}")

    async def authorization(self) -> str | None:
        return self.value


@dataclass
class TokenFile:
    """A file whose token is replaced from time to time."""

    path: Path
    monotonic: Callable[[], float] = time.monotonic
    _value: str = field(default="", repr=False)
    _read_at: float = float("-inf")

    async def authorization(self) -> str | None:
        if self.monotonic() - self._read_at >= REREAD_SECONDS:
            try:
                self._value = (await asyncio.to_thread(self.path.read_text)).strip()
            except OSError as error:
                raise KubeUnreachable(f"the token cannot be read: {error}") from error
            self._read_at = self.monotonic()
        return f"Bearer {self._value}"


@dataclass
class Plugin:
    """A credential plugin (client.authentication.k8s.io, KEP-541) that prints a token."""

    command: tuple[str, ...]
    environ: dict[str, str] = field(repr=False)
    api_version: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _token: str = field(default="", repr=False)
    _until: datetime | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def authorization(self) -> str | None:
        async with self._lock:
            left = (self._until - self.now()).total_seconds() if self._until else 1e9
            if not self._token or left < _EARLY_SECONDS:
                status = _status(await self._run())
                self._token = str(status["token"])
                self._until = _time(status.get("expirationTimestamp"))
        return f"Bearer {self._token}"

    async def _run(self) -> bytes:
        request = {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": {}}
        info = json.dumps({**request, "spec": {"interactive": False}})
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                env={**os.environ, **self.environ, "KUBERNETES_EXEC_INFO": info},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise KubeUnreachable(f"the credential plugin cannot be started: {error}") from error
        try:
            async with asyncio.timeout(PLUGIN_SECONDS):
                output, errors = await process.communicate()
        except TimeoutError as error:
            raise KubeUnreachable(
                f"the credential plugin did not end within {PLUGIN_SECONDS:g} s"
            ) from error
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            words = errors.decode(errors="replace").strip()[-_QUOTED:]
            raise KubeUnreachable(
                f"the credential plugin {self.command[0]} ended with status"
                f" {process.returncode}: {words}"
            )
        return output


def _status(output: bytes) -> dict[str, Any]:
    try:
        status = json.loads(output)["status"]
        status["token"]
    except (ValueError, KeyError, TypeError) as error:
        raise KubeUnreachable("the credential plugin printed no token") from error
    found: dict[str, Any] = status
    return found


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError as error:
        raise KubeUnreachable("the credential plugin printed no usable time") from error
