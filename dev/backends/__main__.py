"""`python -m dev.backends`: PostgreSQL and Redis until SIGTERM or Ctrl-C.

Writes where they answer to a JSON file once both do, and removes the file when it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from dataclasses import asdict
from pathlib import Path

from dev.backends.session import backends
from dev.serving import write_ready
from dev.state import owned, state_directory


async def until_told() -> None:
    """Return on SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()


async def run(options: argparse.Namespace) -> None:
    """Run both servers until told to end."""
    ready: Path | None = options.ready_file
    try:
        async with backends(options.directory, durable=not options.fast) as running:
            if ready:
                write_ready(ready, asdict(running))
            print(f"PostgreSQL {running.postgres_url}\nRedis      {running.redis_url}", flush=True)
            await until_told()
    finally:
        if ready:
            ready.unlink(missing_ok=True)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m dev.backends", description=__doc__)
    parser.add_argument("--directory", type=Path, help="data (default: STATE/backends)")
    parser.add_argument("--ready-file", type=Path, help="JSON with the URLs, written when ready")
    parser.add_argument("--fast", action="store_true", help="no fsync: for data to throw away")
    options = parser.parse_args()
    options.directory = options.directory or state_directory() / "backends"
    with owned(options.directory):
        asyncio.run(run(options))


if __name__ == "__main__":
    main()
