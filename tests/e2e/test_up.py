"""`make up`: everything runs, says where, survives a restart, and is gone when told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dev.backends.process import free_port
from dev.state import REPOSITORY
from tests.e2e.whole import DEADLINE_SECONDS, state_with_tools, until_none_of

pytestmark = pytest.mark.timeout(300)
CLUSTERS = {"canary-1", "eu-1", "eu-2", "us-1", "us-2"}


def environment(state: Path, ports: tuple[int, int]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "KUBECONFIG" and "ARCBRIDGE" not in k}
    return kept | {
        "ARCBRIDGE_STATE_DIR": str(state),
        "ARCBRIDGE_HTTP_PORT": str(ports[0]),
        "ARCBRIDGE_RELAY_PORT": str(ports[1]),
    }


@asynccontextmanager
async def up(
    state: Path, ports: tuple[int, int], end: signal.Signals
) -> AsyncIterator[dict[str, Any]]:
    """`make up` until the end of the block; gives dev.json."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dev.up", cwd=REPOSITORY, env=environment(state, ports)
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not (state / "dev.json").exists():
                assert process.returncode is None, "make up ended by itself"
                await asyncio.sleep(0.1)
        yield json.loads((state / "dev.json").read_text())
        process.send_signal(end)
        async with asyncio.timeout(60):
            status = await process.wait()
        assert status == (0 if end is not signal.SIGKILL else -end)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def refused_up(state: Path, ports: tuple[int, int]) -> tuple[int | None, str]:
    """A `make up` that ends by itself: its status and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dev.up", cwd=REPOSITORY, env=environment(state, ports),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def get(dev: dict[str, Any], person: str, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {dev['tokens'][person]}"}
    async with httpx.AsyncClient(base_url=dev["controlPlaneUrl"], headers=headers) as http:
        return await http.get(path, timeout=30)


async def cluster_ids(dev: dict[str, Any]) -> dict[str, str]:
    """Id by name of the clusters that are connected."""
    page = (await get(dev, "reader", "/api/v1/clusters")).json()
    return {each["name"]: each["id"] for each in page["items"] if each["state"] == "Connected"}


async def until_connected(dev: dict[str, Any]) -> dict[str, str]:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while set(found := await cluster_ids(dev)) != CLUSTERS:
            await asyncio.sleep(0.5)
    return found


async def test_up_says_where_everything_is_and_takes_it_up_again_after_kill_minus_9(
    tmp_path: Path,
) -> None:
    state, ports = state_with_tools(tmp_path), (free_port(), free_port())
    async with up(state, ports, signal.SIGKILL) as dev:
        assert dev["controlPlaneUrl"] == f"http://127.0.0.1:{ports[0]}"
        assert dev["relayAddress"] == f"127.0.0.1:{ports[1]}"
        assert dev["caBundle"].startswith("-----BEGIN CERTIFICATE-----")
        assert {each["name"] for each in dev["clusters"]} == CLUSTERS
        assert all(Path(each["kubeconfig"]).exists() for each in dev["clusters"])
        before = await until_connected(dev)
        for person in ("reader", "operator", "responder", "admin"):
            assert (await get(dev, person, "/api/v1/clusters")).status_code == 200
        other = await get(dev, "otherAdmin", "/api/v1/clusters")
        assert (other.status_code, other.json()["items"]) == (200, [])
        discovery = f"{dev['issuer']}/.well-known/openid-configuration"
        async with httpx.AsyncClient() as http:
            assert (await http.get(discovery)).json()["issuer"] == dev["issuer"]
        status, errors = await refused_up(state, ports)
        assert status == 1
        assert "is in use by process" in errors
        assert "Traceback" not in errors
        assert (state / "dev.json").exists()
    await until_none_of(state)
    (state / "dev.json").unlink()
    async with up(state, ports, signal.SIGTERM) as dev:
        assert await until_connected(dev) == before
    assert not (state / "dev.json").exists()
    await until_none_of(state)


@pytest.mark.parametrize("which", [0, 1])
async def test_a_taken_port_is_a_clear_error_and_starts_nothing(tmp_path: Path, which: int) -> None:
    state = state_with_tools(tmp_path)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        taken = server.sockets[0].getsockname()[1]
        ports = (taken, free_port()) if which == 0 else (free_port(), taken)
        status, errors = await refused_up(state, ports)
    assert status == 1
    variable = ("ARCBRIDGE_HTTP_PORT", "ARCBRIDGE_RELAY_PORT")[which]
    assert f"port {taken} is taken" in errors
    assert variable in errors
    await until_none_of(state)


async def test_up_that_is_told_to_end_while_it_starts_ends(tmp_path: Path) -> None:
    state = state_with_tools(tmp_path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dev.up", cwd=REPOSITORY,
        env=environment(state, (free_port(), free_port())),
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (state / "up" / "run" / "issuer.json").exists():
            await asyncio.sleep(0.05)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        assert await process.wait() == 0
    await until_none_of(state)
