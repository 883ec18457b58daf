"""The restore drill: the database taken back to an earlier moment, a tenant put back from a file.

The agents stay where they are. They reconnect under their identity, and nothing that runs is
deployed again: helm's history on the clusters tells.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio

from dev.backends.postgres import PostgresServer, binaries, postgres
from dev.issuer.client import sign_in
from dev.stack.database import DATABASE, create_database
from dev.stack.settings import FAST_SCHEDULES
from dev.stack.surface import CommandFailedError, Surface
from tests.e2e.world import CLUSTERS, DEADLINE_SECONDS, NAMESPACE, World, open_world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
SCHEDULES = {**FAST_SCHEDULES, "ARCBRIDGE_RETENTION_SCHEDULE": "* * * * * *"}
Histories = dict[str, list[tuple[str, str]]]


@dataclass
class Drill:
    """The stack, and the server that its database is on."""

    world: World
    server: PostgresServer
    platform: Surface

    def tool(self, name: str, database: str, *arguments: str) -> None:
        """Run one of PostgreSQL's own programs on a database."""
        command = [str(binaries() / name), "--dbname", self.server.url(database), *arguments]
        subprocess.run(command, check=True, timeout=60, capture_output=True)

    def restore(self, dump: Path) -> None:
        """Restore beside the database that serves, and swap them under open connections."""
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute("create database restored")
            self.tool("pg_restore", "restored", "--exit-on-error", str(dump))
            connection.execute(f"drop database {DATABASE} with (force)".encode())
            connection.execute(f"alter database restored rename to {DATABASE}".encode())

    async def begin_sessions_anew(self) -> None:
        """Kill the agents; they are started again, and what they know is in their clusters."""
        epochs = await self.epochs()
        for agent in self.world.stack.agents.values():
            agent.kill()
        await eventually(lambda: self.is_past(epochs))

    async def histories(self) -> Histories:
        """Every revision of the release on each cluster, and when it was made."""
        found = {}
        for cluster in self.world.stack.clusters:
            history = await self.world.operator.helm_json(
                cluster, "history", "web", "-n", NAMESPACE
            )
            found[cluster.name] = [(str(each["revision"]), each["updated"]) for each in history]
        return found

    async def reports(self) -> dict[str, dict[str, Any]]:
        """What the control plane knows of the extension on each cluster."""
        rows = await self.world.operator.http_get("/api/v1/extensions/web/clusters")
        return {row["cluster"]: row for row in rows["items"]}

    async def epochs(self) -> dict[str, int]:
        with psycopg.connect(self.server.url(DATABASE)) as connection:
            rows = connection.execute(
                "select c.name, s.epoch from clusters c join sessions s using (cluster_id)"
            )
            return {name: epoch for name, epoch in rows.fetchall()}

    async def is_past(self, epochs: dict[str, int]) -> bool:
        """Every agent has opened a stream since then."""
        now = await self.epochs()
        return all(now[name] > epoch for name, epoch in epochs.items())

    async def settled(self) -> bool:
        """Both clusters are where they should be, and no rollout is under way."""
        rollouts = await self.world.operator.http_get("/api/v1/rollouts")
        reports = await self.reports()
        return len(reports) == len(CLUSTERS) and all(
            [each.get("finishedAt") for each in rollouts["items"]]
            + [row.get("phase") == "Ready" for row in reports.values()]
        )

    async def connected(self) -> bool:
        clusters = await self.world.operator.http_get("/api/v1/clusters")
        return {each["state"] for each in clusters["items"]} == {"Connected"}


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it does; the control plane may be away meanwhile."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                if await holds():
                    return
            except (CommandFailedError, httpx.HTTPError):
                pass
            await asyncio.sleep(0.5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def drill(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Drill]:
    directory = tmp_path_factory.mktemp("restore")
    patch = pytest.MonkeyPatch()
    async with postgres(directory / "postgres") as server:
        create_database(server.url())
        patch.setenv("ARCBRIDGE_POSTGRES_URL", server.url(DATABASE))
        try:
            async with open_world(directory, SCHEDULES) as world:
                people = world.stack.people
                users = {user.name: user for user in people.directory.seed.users}
                token = await sign_in(people.issuer_url, people.directory, users["platform@demo"])
                home = directory / "platform"
                home.mkdir()
                yield Drill(world, server, Surface(world.operator.server, token, home))
        finally:
            patch.undo()


async def test_a_database_restored_to_an_earlier_moment_takes_no_cluster_back(
    drill: Drill, tmp_path: Path
) -> None:
    world = drill.world
    await eventually(drill.settled)
    dump = tmp_path / "arcbridge.dump"
    drill.tool("pg_dump", DATABASE, "--format=custom", f"--file={dump}")
    await drill.begin_sessions_anew()
    await world.until_over(await world.publish("after the backup"))
    before, epochs = await drill.histories(), await drill.epochs()

    drill.restore(dump)

    async def agents_said_what_runs() -> bool:
        reports = await drill.reports()
        return {row.get("reason") for row in reports.values()} == {"ReleaseOutdated"}

    await eventually(agents_said_what_runs)
    await eventually(lambda: drill.is_past(epochs))
    await eventually(drill.connected)
    assert await drill.histories() == before

    # The same again: control plane and clusters agree, and nothing is deployed for that.
    over = await world.until_over(await world.publish("after the backup"))
    assert over["state"] == "Succeeded"
    assert await drill.histories() == before


async def test_a_tenant_put_back_from_its_file_is_as_it_was(drill: Drill, tmp_path: Path) -> None:
    world, platform = drill.world, drill.platform
    file = tmp_path / "demo.jsonl"
    before = await drill.histories()
    known = {name: row["desiredRevision"] for name, row in (await drill.reports()).items()}
    await platform.arcbridge("admin", "export", "demo", str(file), "--suspend")
    await platform.arcbridge("admin", "suspend", "demo", "--reason", "moving")
    await platform.arcbridge("admin", "delete", "demo")

    async def is_empty_and_filled_again() -> bool:
        await platform.arcbridge("admin", "import", str(file), "--resume")
        return True

    await eventually(is_empty_and_filled_again)
    await drill.begin_sessions_anew()
    await eventually(drill.connected)
    assert {n: row["desiredRevision"] for n, row in (await drill.reports()).items()} == known
    assert (await world.operator.arcbridge_json("events", "--verify"))["intact"]
    assert await drill.histories() == before
    over = await world.until_over(await world.publish("moved"))
    assert over["state"] == "Succeeded"
    after = await drill.histories()
    assert {name: len(history) for name, history in after.items()} == {
        name: len(history) + 1 for name, history in before.items()
    }
