"""`python -m dev.issuer`: the development issuer on loopback until SIGTERM or Ctrl-C.

SIGHUP rotates the signing key.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dev.issuer.directory import Directory
from dev.issuer.grants import Codes
from dev.issuer.keys import SigningKeys
from dev.issuer.server import Issuer
from dev.serving import PortTakenError, bound_socket, serve
from dev.state import state_directory

PORT_VARIABLE = "ARCBRIDGE_ISSUER_PORT"
CREDENTIALS = "credentials.json"


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def run(options: argparse.Namespace) -> None:
    """Serve until told to end."""
    listener = bound_socket(options.port, PORT_VARIABLE)
    state: Path = options.state or state_directory() / "issuer"
    lifetime = timedelta(seconds=options.token_lifetime_seconds)
    issuer = Issuer(
        base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        directory=Directory.open(state / CREDENTIALS),
        keys=SigningKeys(state / "keys.json", token_lifetime=lifetime, clock=now),
        codes=Codes(),
        token_lifetime=lifetime,
        clock=now,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, issuer.keys.rotate)
    print(f"Issuer for development only, on {issuer.base_url}", flush=True)
    await serve(issuer.application(), listener, ready_file=options.ready_file)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m dev.issuer", description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get(PORT_VARIABLE, "7072")))
    parser.add_argument("--state", type=Path, help="keys and passwords (default: STATE/issuer)")
    parser.add_argument("--ready-file", type=Path, help="JSON with the URL, written when ready")
    parser.add_argument("--token-lifetime-seconds", type=int, default=3600)
    try:
        asyncio.run(run(parser.parse_args()))
    except PortTakenError as error:
        raise SystemExit(f"dev.issuer: {error}") from error


if __name__ == "__main__":
    main()
