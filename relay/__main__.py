"""`python -m relay`: one relay process, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from relay.resources import Resources
from relay.server import RelayServer
from relay.settings import RelaySettings
from shared.settings import SettingsError
from shared.telemetry.logs import configure_logging, get_logger
from shared.telemetry.tracing import configure_tracing

log = get_logger(__name__)


def write_ready_file(path: Path, server: RelayServer) -> None:
    """Say where the relay listens; whole or not at all."""
    content = {"port": server.port, "httpPort": server.http_port, "pid": os.getpid()}
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content))
    partial.rename(path)


async def serve(settings: RelaySettings) -> None:
    """Run until a signal asks for the end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        Resources.open(settings) as resources,
        RelayServer(settings, resources).running() as server,
    ):
        if settings.relay_ready_file is not None:
            write_ready_file(settings.relay_ready_file, server)
        await stop.wait()


def main() -> int:
    """Exit status 0 after a drain, 2 for settings that cannot be used, 1 for anything else."""
    configure_logging("relay", level=os.environ.get("ARCBRIDGE_LOG_LEVEL", "INFO"))
    try:
        settings = RelaySettings.from_environ(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    flush_traces = configure_tracing("relay", instance=settings.name)
    try:
        asyncio.run(serve(settings))
    finally:
        flush_traces()
    return 0


if __name__ == "__main__":
    sys.exit(main())
