"""`python -m dev.host`: run the function app in this folder until SIGTERM or Ctrl-C.

App settings come from the environment, then from local.settings.json. Listens on loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from dev.host.config import (
    DEFAULT_BODY_BYTES,
    HostError,
    load_keys,
    local_settings,
    read_host_json,
)
from dev.host.functions import load
from dev.host.server import Host
from dev.state import REPOSITORY, state_directory

SHUTDOWN_SECONDS = 10


class AnnouncingServer(uvicorn.Server):
    """A server that writes a ready file once it accepts connections."""

    def __init__(self, config: uvicorn.Config, ready_file: Path | None, url: str) -> None:
        super().__init__(config)
        self._ready_file, self._url = ready_file, url

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order on SIGTERM and SIGINT, and count that as success (status 0)."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._ready_file:
            partial = self._ready_file.with_name(f"{self._ready_file.name}.partial")
            partial.write_text(json.dumps({"pid": os.getpid(), "url": self._url}))
            partial.replace(self._ready_file)


def bound_socket(port: int) -> socket.socket:
    """A listening socket on loopback; raises HostError when the port is taken."""
    listener = socket.socket()
    # Without this a restart could not bind while connections of the last run are in TIME_WAIT; it
    # does not let two servers share a port.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(socket.SOMAXCONN)
    except OSError as error:
        listener.close()
        raise HostError(
            f"port {port} is taken: stop what listens there, or choose another with --port"
            f" (ARCBRIDGE_HTTP_PORT): {error.strerror}"
        ) from error
    return listener


def host_of(options: argparse.Namespace) -> Host:
    """The host for the app that `--app` names."""
    for name, value in local_settings(options.directory / "local.settings.json").items():
        os.environ.setdefault(name, value)
    config = read_host_json(options.directory / "host.json")
    module, _, attribute = options.app.partition(":")
    app = getattr(importlib.import_module(module), attribute or "app")
    http, timers = load(app, os.environ, config.function_timeout)
    state: Path = options.state or state_directory() / "host"
    return Host(
        http,
        timers,
        config=config,
        keys=load_keys(state / "keys.json"),
        body_bytes=int(os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", DEFAULT_BODY_BYTES)),
        directory=options.directory,
        status_directory=state / "timers",
        clock=lambda: datetime.now(UTC),
    )


async def run(options: argparse.Namespace) -> None:
    """Serve until told to end."""
    listener = bound_socket(options.port)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        host_of(options).application(),
        log_level="warning",
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    print(f"Functions host for development only, on {url}", flush=True)
    await AnnouncingServer(config, options.ready_file, url).serve(sockets=[listener])


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m dev.host", description=__doc__)
    parser.add_argument("--app", default="function_app:app", help="module:attribute")
    parser.add_argument("--directory", type=Path, default=REPOSITORY, help="where host.json is")
    parser.add_argument(
        "--port", type=int, default=int(os.environ.get("ARCBRIDGE_HTTP_PORT", "7071"))
    )
    parser.add_argument("--ready-file", type=Path, help="JSON with the URL, written when ready")
    parser.add_argument("--state", type=Path, help="keys and timer status (default: STATE/host)")
    options = parser.parse_args()
    sys.path.insert(0, str(options.directory))
    try:
        asyncio.run(run(options))
    except HostError as error:
        raise SystemExit(f"dev.host: {error}") from error


if __name__ == "__main__":
    main()
