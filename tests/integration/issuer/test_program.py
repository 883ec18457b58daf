"""`python -m dev.issuer`, and the client that the stack signs in with."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dev.issuer.client import SignInError, sign_in, sign_in_service
from dev.issuer.directory import Directory

DEADLINE_SECONDS = 20


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The address and the process of an issuer."""
    ready = tmp_path / "ready.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dev.issuer", "--port", "0",
        "--state", str(tmp_path), "--ready-file", str(ready),
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not ready.exists():
            await asyncio.sleep(0.02)
    yield json.loads(ready.read_text())["url"], process
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await process.wait() == 0


async def test_every_seeded_user_and_service_can_sign_in(
    tmp_path: Path, issuer: tuple[str, asyncio.subprocess.Process]
) -> None:
    directory = Directory.open(tmp_path / "credentials.json")
    tokens = [await sign_in(issuer[0], directory, user) for user in directory.seed.users]
    services = [client for client in directory.seed.clients if client.confidential]
    tokens += [await sign_in_service(issuer[0], directory, client) for client in services]
    assert len(set(tokens)) == len(directory.seed.users) + len(services)


async def test_a_wrong_password_is_an_error(
    tmp_path: Path, issuer: tuple[str, asyncio.subprocess.Process]
) -> None:
    seed = Directory.open(tmp_path / "credentials.json").seed
    wrong = Directory(seed, {user.name: "guess" for user in seed.users})
    with pytest.raises(SignInError, match="refused"):
        await sign_in(issuer[0], wrong, seed.users[0])


async def test_sighup_rotates_the_signing_key(
    tmp_path: Path, issuer: tuple[str, asyncio.subprocess.Process]
) -> None:
    tid = Directory.open(tmp_path / "credentials.json").tid_of("demo")
    async with httpx.AsyncClient(base_url=issuer[0]) as http:
        before = (await http.get(f"/{tid}/discovery/v2.0/keys")).json()["keys"]
        issuer[1].send_signal(signal.SIGHUP)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(after := (await http.get(f"/{tid}/discovery/v2.0/keys")).json()["keys"]) < 2:
                await asyncio.sleep(0.05)
    assert after[0] == before[0]


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "-m", "dev.issuer", "--port", str(port), "--state", str(tmp_path)],
            capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
        )  # fmt: skip
    assert result.returncode == 1
    assert f"port {port} is taken" in result.stderr
    assert "ARCBRIDGE_ISSUER_PORT" in result.stderr
