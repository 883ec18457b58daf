"""Runs the simulated API server inside a program: `async with KubeServer.start() as server`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import uvicorn

from dev.kube.app import PREFIX, App
from dev.kube.cluster import Cluster, ClusterSettings, utc_now
from dev.kube.kubeconfig import kubeconfig, write_private
from dev.kube.schema import Json
from dev.kube.tls import TlsFiles, ensure_tls

_STOP_SECONDS: Final = 5
_BACKLOG: Final = 1024


class ServedCluster:
    """A cluster with its address."""

    def __init__(self, cluster: Cluster, url: str, ca_bundle: str) -> None:
        self.cluster = cluster
        self.name = cluster.name
        self.url = url
        self.token = cluster.settings.token
        self.ca_bundle = ca_bundle

    def kubeconfig(self) -> Json:
        """The kubeconfig document of this cluster."""
        return kubeconfig(self.name, self.url, self.token, self.ca_bundle)

    def write_kubeconfig(self, path: Path) -> Path:
        """Write the kubeconfig to `path`, readable by the owner alone."""
        write_private(path, self.kubeconfig())
        return path


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers: the program that embeds it owns the signals."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # uvicorn leaves it untyped
        """Leave the signals alone."""
        yield


class KubeServer:
    """Many clusters on one port of the loopback interface."""

    def __init__(self, port: int, tls: TlsFiles, state_dir: Path | None) -> None:
        self.port = port
        self._tls = tls
        self._state_dir = state_dir
        self._clusters: dict[str, Cluster] = {}
        self.served: dict[str, ServedCluster] = {}
        self.app = App(self._clusters)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, port: int = 0, state_dir: Path | None = None) -> AsyncIterator[KubeServer]:
        """Serve on 127.0.0.1:`port` (0: a free one) until the block is left.

        With `state_dir` every acknowledged change survives SIGKILL: the same directory brings the
        same clusters back, with their tokens, certificates and resource versions.
        """
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(listening_socket(port))
            directory = state_dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            tls = ensure_tls(directory / "tls", utc_now())
            server = cls(listener.getsockname()[1], tls, state_dir)
            server._restore()
            async with _serving(server.app, tls, listener, server):
                yield server

    def add_cluster(
        self,
        name: str,
        *,
        ready_delay: float = 0.3,
        node_count: int = 2,
        version: str = "1.35.0",
        token: str | None = None,
    ) -> ServedCluster:
        """A cluster, made or (with a state directory) found as it was left.

        A cluster that exists keeps its token and nodes and takes the other settings.
        """
        existing = self.served.get(name)
        given = {"ready_delay": ready_delay, "node_count": node_count, "version": version}
        if existing is not None:
            old = existing.cluster.settings
            existing.cluster.settings = replace(old, ready_delay=ready_delay, version=version)
            self._save(existing.cluster)
            return existing
        settings = ClusterSettings(ca_bundle=self._tls.ca_bundle, **given)  # type: ignore[arg-type]  # a dict of mixed types
        if token is not None:
            settings = replace(settings, token=token)
        return self._open(name, settings)

    def remove_cluster(self, name: str) -> None:
        """Stop serving a cluster and forget everything it held."""
        self.served.pop(name)
        self._clusters.pop(name).close()
        if self._state_dir is not None:
            for path in (self._settings_path(name), self._journal_path(name)):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """End all watches and close all journals."""
        for cluster in self._clusters.values():
            cluster.close()

    def _open(self, name: str, settings: ClusterSettings) -> ServedCluster:
        journal = self._journal_path(name) if self._state_dir is not None else None
        if journal is not None:
            journal.parent.mkdir(parents=True, exist_ok=True)
        cluster = Cluster(name, settings, journal)
        cluster.start()
        self._clusters[name] = cluster
        self._save(cluster)
        url = f"https://127.0.0.1:{self.port}{PREFIX}{name}"
        served = self.served[name] = ServedCluster(cluster, url, self._tls.ca_bundle)
        return served

    def _restore(self) -> None:
        if self._state_dir is None:
            return
        for path in sorted((self._state_dir / "clusters").glob("*.json")):
            settings = ClusterSettings(**json.loads(path.read_text()))
            self._open(path.stem, replace(settings, ca_bundle=self._tls.ca_bundle))

    def _save(self, cluster: Cluster) -> None:
        if self._state_dir is None:
            return
        path = self._settings_path(cluster.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(cluster.settings))

    def _settings_path(self, name: str) -> Path:
        return (self._state_dir or Path()) / "clusters" / f"{name}.json"

    def _journal_path(self, name: str) -> Path:
        return (self._state_dir or Path()) / "clusters" / f"{name}.journal"


def write_json(path: Path, document: Json) -> None:
    """Write JSON by rename; the file keeps the permissions it has."""
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(document))
    partial.replace(path)


def listening_socket(port: int) -> socket.socket:
    """A socket bound to a port of loopback; port 0 means any."""
    # The protocol is named for asyncio's sake, see dev/serving.py.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


@contextlib.asynccontextmanager
async def _serving(
    app: App, tls: TlsFiles, listener: socket.socket, server: KubeServer
) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app,
        ssl_certfile=tls.certificate,
        ssl_keyfile=tls.key,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=_STOP_SECONDS,
        backlog=_BACKLOG,
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
    )
    runner = _Uvicorn(config)
    task = asyncio.create_task(runner.serve(sockets=[listener]))
    try:
        while not runner.started:
            if task.done():
                await task
                raise RuntimeError("the simulated API server did not start")
            await asyncio.sleep(0.01)
        yield
    finally:
        server.close()
        runner.should_exit = True
        await task
