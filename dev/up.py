"""`make up`: the whole stack, left running until Ctrl-C or SIGTERM.

Where everything answers stands in `.arcbridge/dev.json` once all clusters are connected. What was
declared survives a restart; `make clean` forgets it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

from dev.backends import BackendError
from dev.serving import PortTakenError, write_ready
from dev.stack.child import ChildError
from dev.stack.clusters import ClusterError
from dev.stack.settings import (
    DEFAULT_HTTP_PORT,
    DEFAULT_RELAY_PORT,
    HTTP_PORT,
    RELAY_PORT,
    StackSettings,
    port_of,
)
from dev.stack.stack import Stack, names_to_simulate, stack
from dev.stack.surface import CommandFailedError
from dev.state import StateInUseError, owned, state_directory
from dev.tether import tie_to_make

ADDRESSES_FILE = "addresses.json"
SHELLS = ("reader", "operator", "responder", "admin")
"""The roles of tenant `demo` that a file of variables is written for."""
PROBLEMS = (
    PortTakenError, BackendError, ChildError, ClusterError, CommandFailedError, StateInUseError,
)  # fmt: skip


def forget_other_addresses(settings: StackSettings) -> None:
    """Start afresh when the addresses changed: the clusters know the control plane by the old."""
    path = settings.state / ADDRESSES_FILE
    addresses = [settings.control_plane_url, settings.relay_address]
    if path.exists() and json.loads(path.read_text()) != addresses:
        print("the ports changed since the last run: starting with an empty control plane")
        for entry in settings.state.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
    path.write_text(json.dumps(addresses))


def write_shell(path: Path, server: str, token: str) -> None:
    """Write what a shell sources to call the server with this token; for its owner only."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(f"export ARCBRIDGE_SERVER={server}\nexport ARCBRIDGE_TOKEN={token}\n")


async def announce(running: Stack, path: Path) -> None:
    """Write dev.json and say how to go on."""
    settings = running.settings
    tokens = await running.people.tokens()
    content: dict[str, object] = {
        "controlPlaneUrl": settings.control_plane_url,
        "relayAddress": settings.relay_address,
        "caBundle": running.ca_bundle,
        "issuer": running.people.issuer,
        "tokens": tokens,
        "clusters": [
            {"name": cluster.name, "kubeconfig": str(cluster.kubeconfig)}
            for cluster in running.clusters
        ],
    }
    for role in SHELLS:
        write_shell(settings.state / f"{role}.env", settings.control_plane_url, tokens[role])
    write_ready(path, content)
    print(
        f"""
ArcBridge is running:
  HTTP API   {settings.control_plane_url}/api/v1   (read it: {settings.control_plane_url}/api/docs)
  relay      {settings.relay_address}
  issuer     {running.people.issuer}
  clusters   {", ".join(cluster.name for cluster in running.clusters)}
  logs       {settings.state / "logs"}
  all of it  {path}

Try (as an operator; {settings.state / "admin.env"} is for what only an admin may do):
  . {settings.state / "operator.env"}
  .venv/bin/arcbridge cluster list
  .venv/bin/arcbridge apply -f examples/web/v1.yaml --wait

Ctrl-C ends it.""",
        flush=True,
    )


async def keep_running(state: Path) -> None:
    """Start everything, announce it, and run until cancelled."""
    announced = state / "dev.json"
    with owned(state / "up") as directory:
        announced.unlink(missing_ok=True)
        settings = StackSettings(
            state=directory,
            http_port=port_of(HTTP_PORT, DEFAULT_HTTP_PORT),
            relay_port=port_of(RELAY_PORT, DEFAULT_RELAY_PORT),
            simulated_clusters=await names_to_simulate(directory / "kubeconfigs"),
        )
        forget_other_addresses(settings)
        print("starting …", flush=True)
        async with stack(settings, tell) as running:
            admin = await running.surface("admin")
            await running.connect_all(admin)
            await announce(running, announced)
            try:
                await asyncio.Event().wait()
            finally:
                announced.unlink(missing_ok=True)


async def run(state: Path) -> None:
    """Run the stack until SIGTERM or SIGINT; the first one ends it in order, more do nothing."""
    work = asyncio.create_task(keep_running(state))

    def end() -> None:
        if not work.cancelling():
            print("\nending …", flush=True)
            work.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    with suppress(asyncio.CancelledError):
        await work


def tell(line: str) -> None:
    """Say what happened to a process."""
    print(line, flush=True)


def main() -> int:
    """0 when it was told to end, 1 when it could not start."""
    tie_to_make()
    try:
        asyncio.run(run(state_directory()))
    except PROBLEMS as error:
        print(f"make up: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
