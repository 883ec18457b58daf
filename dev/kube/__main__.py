"""`python -m dev.kube --clusters a,b --kubeconfig-dir DIR`: simulated clusters until a signal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import resource
import signal
from pathlib import Path

from dev.kube.server import KubeServer, write_json


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.kube", description=__doc__)
    parser.add_argument("--clusters", default="sim", help="names, separated by commas")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (0: a free one)")
    parser.add_argument("--kubeconfig-dir", type=Path, required=True, help="for NAME.yaml files")
    parser.add_argument("--state-dir", type=Path, help="keep the clusters here across restarts")
    parser.add_argument("--ready-file", type=Path, help="written once everything can be reached")
    parser.add_argument("--ready-delay", type=float, default=0.3, help="seconds until pods run")
    parser.add_argument("--nodes", type=int, default=2, help="nodes of each new cluster")
    parser.add_argument("--version", default="1.35.0", help="version of Kubernetes to report")
    return parser.parse_args()


async def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with KubeServer.start(arguments.port, arguments.state_dir) as server:
        ready = {}
        for name in arguments.clusters.split(","):
            cluster = server.add_cluster(
                name,
                ready_delay=arguments.ready_delay,
                node_count=arguments.nodes,
                version=arguments.version,
            )
            path = cluster.write_kubeconfig(arguments.kubeconfig_dir.absolute() / f"{name}.yaml")
            ready[name] = {"url": cluster.url, "kubeconfig": str(path)}
        document = {"port": server.port, "clusters": ready}
        if arguments.ready_file is not None:
            write_json(arguments.ready_file, document)
        print(json.dumps(document), flush=True)
        await stopping.wait()


def _raise_file_limit() -> None:
    """One journal per cluster and one socket per watch: take what the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    _raise_file_limit()
    asyncio.run(run(_arguments()))
