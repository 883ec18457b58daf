"""Plain HTTP to the API server, for what no client library shows."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

SECONDS = 20.0


def _context(kubeconfig: Path, scratch: Path) -> tuple[str, ssl.SSLContext, dict[str, str]]:
    document = yaml.safe_load(kubeconfig.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    context = ssl.create_default_context()
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif "certificate-authority" in cluster:
        context.load_verify_locations(kubeconfig.parent / cluster["certificate-authority"])
    else:
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context.load_verify_locations(cadata=authority)
    if "client-certificate-data" in user:
        for name in ("certificate", "key"):
            content = base64.b64decode(user[f"client-{name}-data"])
            (scratch / name).write_bytes(content)
        context.load_cert_chain(scratch / "certificate", scratch / "key")
    headers = {"authorization": f"Bearer {user['token']}"} if "token" in user else {}
    return cluster["server"], context, headers


@contextmanager
def http(kubeconfig: Path, scratch: Path) -> Iterator[httpx.Client]:
    """A client whose paths begin at the API server's root."""
    server, context, headers = _context(kubeconfig, scratch)
    with httpx.Client(base_url=server, verify=context, headers=headers, timeout=SECONDS) as client:
        yield client


class Watch:
    """An open watch: its events one by one."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next event's type and object."""
        event = json.loads(next(self._lines))
        return event["type"], event["object"]

    def rest(self) -> list[tuple[str, dict[str, Any]]]:
        """Every event until the server ends the watch."""
        return [(event["type"], event["object"]) for event in map(json.loads, self._lines)]


@contextmanager
def watching(client: httpx.Client, path: str, **query: Any) -> Iterator[Watch]:
    """A watch on a collection."""
    with client.stream("GET", path, params={"watch": "true", **query}) as response:
        assert response.status_code == 200, response.read()
        yield Watch(response.iter_lines())


@asynccontextmanager
async def async_http(server: str, authority: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """An asynchronous client of a simulated cluster."""
    context = ssl.create_default_context(cadata=authority)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=server, verify=context, headers=headers, timeout=SECONDS
    ) as client:
        yield client
