"""Tokens between commands: a file that only its owner can read.

Each entry belongs to one server, issuer and client, so that a token is never sent to a server it
was not meant for.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arcbridge.cli.config import Context

LEEWAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint gave."""

    access_token: str
    expires_at: float
    """Unix seconds."""
    refresh_token: str | None = None

    def is_fresh(self, now: float) -> bool:
        """Whether it is good for at least a minute more."""
        return now < self.expires_at - LEEWAY_SECONDS


class TokenCache:
    """The file beside the configuration."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, context: Context) -> Tokens | None:
        """The tokens of a context, expired or not."""
        found = self._read().get(_key(context))
        return Tokens(**found) if found else None

    def put(self, context: Context, tokens: Tokens) -> None:
        """Keep tokens."""
        self._write({**self._read(), _key(context): asdict(tokens)})

    def drop(self, context: Context) -> None:
        """Forget tokens."""
        self._write({key: each for key, each in self._read().items() if key != _key(context)})

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found: dict[str, dict[str, Any]] = json.loads(self._path.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def _write(self, content: dict[str, dict[str, Any]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        partial.unlink(missing_ok=True)
        # The mode is set as the file is made: it is never readable to others, not for a moment.
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file)
        partial.replace(self._path)


def _key(context: Context) -> str:
    return "|".join((context.server.rstrip("/"), context.issuer or "azure", context.client_id))
