"""`python -m dev.host`: run the function app in this folder until SIGTERM or Ctrl-C.

App settings come from the environment, then from local.settings.json. Listens on loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from dev.host.config import (
    DEFAULT_BODY_BYTES,
    HostError,
    load_keys,
    local_settings,
    read_host_json,
)
from dev.host.functions import load
from dev.host.server import Host
from dev.serving import PortTakenError, bound_socket, serve
from dev.state import REPOSITORY, state_directory

PORT_VARIABLE = "ARCBRIDGE_HTTP_PORT"


def host_of(options: argparse.Namespace) -> Host:
    """The host for the app that `--app` names."""
    for name, value in local_settings(options.directory / "local.settings.json").items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")
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
    listener = bound_socket(options.port, PORT_VARIABLE, shared=options.share_port)
    application = host_of(options).application()
    port = listener.getsockname()[1]
    print(f"Functions host for development only, on http://127.0.0.1:{port}", flush=True)
    await serve(application, listener, ready_file=options.ready_file)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m dev.host", description=__doc__)
    parser.add_argument("--app", default="function_app:app", help="module:attribute")
    parser.add_argument("--directory", type=Path, default=REPOSITORY, help="where host.json is")
    parser.add_argument("--port", type=int, default=int(os.environ.get(PORT_VARIABLE, "7071")))
    parser.add_argument(
        "--share-port", action="store_true", help="with other hosts that say so, too"
    )
    parser.add_argument("--ready-file", type=Path, help="JSON with the URL, written when ready")
    parser.add_argument("--state", type=Path, help="keys and timer status (default: STATE/host)")
    options = parser.parse_args()
    sys.path.insert(0, str(options.directory))
    try:
        asyncio.run(run(options))
    except (HostError, PortTakenError) as error:
        raise SystemExit(f"dev.host: {error}") from error


if __name__ == "__main__":
    main()
