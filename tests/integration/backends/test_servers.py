"""The embedded servers: real, recoverable, and gone when they should be."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from dev.backends import BackendError, PostgresServer, RedisServer, backends
from dev.backends.postgres import StopMode
from dev.backends.process import processes_in
from dev.state import StateInUseError, owned

DEADLINE_SECONDS = 20


async def write_row(server: PostgresServer, value: str) -> None:
    async with await psycopg.AsyncConnection.connect(server.url(), autocommit=True) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS notes (note text NOT NULL)")
        await connection.execute("INSERT INTO notes (note) VALUES (%s)", [value])


async def read_rows(server: PostgresServer) -> list[str]:
    async with await psycopg.AsyncConnection.connect(server.url()) as connection:
        cursor = await connection.execute("SELECT note FROM notes ORDER BY note")
        return [row[0] for row in await cursor.fetchall()]


def test_each_test_gets_an_empty_database(empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
        assert tables == (0,)
        assert connection.info.server_version >= 180000


async def test_postgres_refuses_a_wrong_password(private_postgres: PostgresServer) -> None:
    wrong = private_postgres.url().replace("postgres:", "postgres:x", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(wrong)


async def test_rows_survive_a_stop_and_a_start_on_the_same_port(
    private_postgres: PostgresServer,
) -> None:
    await write_row(private_postgres, "kept")
    url = private_postgres.url()
    await private_postgres.stop()
    await private_postgres.start()
    assert private_postgres.url() == url
    assert await read_rows(private_postgres) == ["kept"]


async def test_acknowledged_rows_survive_an_immediate_stop(
    private_postgres: PostgresServer,
) -> None:
    await write_row(private_postgres, "acknowledged")
    await private_postgres.stop(StopMode.IMMEDIATE)
    await private_postgres.start()
    assert await read_rows(private_postgres) == ["acknowledged"]


async def test_a_killed_postgres_starts_although_its_number_belongs_to_another_process(
    private_postgres: PostgresServer,
) -> None:
    await write_row(private_postgres, "kept")
    await private_postgres.kill()
    pid_file = private_postgres.directory / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    await private_postgres.start()
    assert await read_rows(private_postgres) == ["kept"]


async def test_a_server_that_still_runs_in_the_directory_is_ended_first(
    private_postgres: PostgresServer,
) -> None:
    await write_row(private_postgres, "kept")
    private_postgres.pause()  # the worst leftover: one that reacts to nothing but SIGKILL
    successor = PostgresServer(private_postgres.directory)
    await successor.start()
    try:
        assert await read_rows(successor) == ["kept"]
    finally:
        await successor.stop()


async def test_a_paused_postgres_answers_again_when_resumed(
    private_postgres: PostgresServer,
) -> None:
    private_postgres.pause()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        await psycopg.AsyncConnection.connect(private_postgres.url(), connect_timeout=2)
    private_postgres.resume()
    await write_row(private_postgres, "answered")


async def test_redis_forgets_on_restart_and_keeps_its_address(private_redis: RedisServer) -> None:
    async with Redis.from_url(private_redis.url()) as client:
        await client.set("key", "value")
    await private_redis.kill()
    await private_redis.start()
    async with Redis.from_url(private_redis.url()) as client:
        assert await client.get("key") is None


async def test_a_paused_redis_makes_its_client_time_out(private_redis: RedisServer) -> None:
    async with Redis.from_url(private_redis.url(), socket_timeout=0.2, retry=None) as client:
        await client.ping()
        private_redis.pause()
        with pytest.raises(RedisTimeoutError):
            await client.ping()
        private_redis.resume()


async def test_servers_named_by_the_environment_are_used_and_not_started(tmp_path: Path) -> None:
    named = {
        "ARCBRIDGE_POSTGRES_URL": "postgresql://elsewhere/db",
        "ARCBRIDGE_REDIS_URL": "redis://elsewhere/0",
    }
    async with backends(tmp_path, environ=named) as running:
        assert running.postgres_url == "postgresql://elsewhere/db"
        assert running.redis_url == "redis://elsewhere/0"
        assert not running.processes
    assert not list(tmp_path.iterdir())


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres", max_connections=-1)
    with pytest.raises(BackendError, match="max_connections"):
        await server.start()


def test_a_state_folder_has_one_owner(tmp_path: Path) -> None:
    with owned(tmp_path), pytest.raises(StateInUseError, match=str(os.getpid())), owned(tmp_path):
        pass
    with owned(tmp_path):
        pass


async def start_program(directory: Path) -> tuple[asyncio.subprocess.Process, dict[str, int]]:
    """`python -m dev.backends` in `directory`; its process and the servers' process ids."""
    ready = directory / "ready.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dev.backends", "--fast",
        "--directory", str(directory / "data"), "--ready-file", str(ready),
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not ready.exists():
            await asyncio.sleep(0.05)
    return process, json.loads(ready.read_text())["processes"]


async def until_gone(directory: Path) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while any(processes_in(directory / "data" / "postgres", "postgres")) or any(
            processes_in(directory / "data" / "redis", "redis-server")
        ):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_no_server_outlives_the_program_however_it_ends(
    tmp_path: Path, end: signal.Signals
) -> None:
    program, servers = await start_program(tmp_path)
    assert set(servers) == {"postgres", "redis"}
    program.send_signal(end)
    async with asyncio.timeout(DEADLINE_SECONDS):
        status = await program.wait()
    await until_gone(tmp_path)
    assert status == (-signal.SIGKILL if end is signal.SIGKILL else 0)
    assert (tmp_path / "ready.json").exists() == (end is signal.SIGKILL)
