"""Runs an ASGI application on a loopback port, says when it is ready, and why it cannot start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

SHUTDOWN_SECONDS = 10


class PortTakenError(Exception):
    """Something else listens on the port; the text says how to choose another."""


def bound_socket(port: int, variable: str, *, shared: bool = False) -> socket.socket:
    """A listening socket on loopback; port 0 means any.

    With `shared`, others that say so too may listen on the same port: the kernel spreads new
    connections over them. Raises PortTakenError, which names `variable`, the environment variable
    that sets the port.
    """
    # asyncio sends without waiting for acknowledgements (TCP_NODELAY) only where the protocol is
    # named: otherwise the body of each answer comes 40 ms after its head.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Without this a restart could not bind while connections of the last run are in TIME_WAIT; it
    # does not let two servers share a port.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(socket.SOMAXCONN)
    except OSError as error:
        listener.close()
        raise PortTakenError(
            f"port {port} is taken ({error.strerror}): stop what listens there, or choose another"
            f" with {variable}"
        ) from error
    return listener


def write_ready(path: Path, content: dict[str, object]) -> None:
    """Write a ready file, for its owner only, by rename: a reader sees all of it or none."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(json.dumps({"pid": os.getpid(), **content}))
    partial.replace(path)


class _Server(uvicorn.Server):
    """Ends in order on SIGTERM and SIGINT, counts that as success, and announces itself."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


async def serve(
    application: ASGIApp, listener: socket.socket, *, ready_file: Path | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; requests under way have 10 s to end."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        lifespan="on",
        server_header=False,
        proxy_headers=False,  # nobody in front of us is believed
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )

    def announce() -> None:
        if ready_file:
            write_ready(ready_file, {"url": url})

    await _Server(config, announce).serve(sockets=[listener])
