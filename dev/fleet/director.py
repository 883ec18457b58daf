"""Plays a scenario: starts the stack and the fleet, follows the script, looks how it ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import class_row, dict_row

from dev.backends import RedisServer, postgres, redis
from dev.backends.process import free_port
from dev.fleet.ledger import Ledger, Release
from dev.fleet.scenario import Await, Kill, Leave, Pause, Publish, Return, Rotate, Scenario, Step
from dev.fleet.workers import Workers, workers
from dev.stack.settings import FAST_SCHEDULES, StackSettings
from dev.stack.stack import Stack, stack

EXTENSION = "fleet"
TOKENS_AT_ONCE = 8
AGENTS_PER_HOST = 400
JOIN_SECONDS_PER_AGENT = 0.5
JOIN_SECONDS = 120.0
LOOK_SECONDS = 0.5
HTTP_SECONDS = 60.0
CERTIFICATE_HOURS = 168.0
_RELEASES = """
    select t.rollout_id::text as rollout, r.kind, t.stage, s.total as stage_total,
           c.name as cluster, t.released_at, t.finished_at, t.generation
    from rollout_targets t
    join rollouts r using (tenant_id, rollout_id)
    join rollout_stages s using (tenant_id, rollout_id, stage)
    join clusters c using (tenant_id, cluster_id)
    where t.released_at is not null
"""
_CONNECTED = "select count(*) as n from clusters where state = 'Connected'"


class ScenarioFailedError(Exception):
    """The scenario did not go as its file says; the text says what."""


@dataclass
class Director:
    """What the steps work with."""

    scenario: Scenario
    size: int
    stack: Stack
    redis: RedisServer
    owner_url: str
    http: httpx.AsyncClient
    """As the tenant's admin."""
    platform: dict[str, str]
    """The Authorization header of who runs the platform."""
    fleet: Workers
    ledger: Ledger
    say: Callable[[str], None]
    took: dict[str, float] = field(default_factory=dict)
    """What took how long, in seconds, in the order it was done."""

    async def play(self) -> None:
        """Everything, from the joining to the end that is expected. Raises ScenarioFailedError."""
        within = JOIN_SECONDS + JOIN_SECONDS_PER_AGENT * self.size
        await self._within("all connected", within, self._all_connected)
        self.ledger.all_joined()
        for step in self.scenario.script:
            await self._do(step)
        expected = self.scenario.expect
        await self._within(
            f"all on revision {expected.revision}", expected.within_seconds, self._converged
        )
        lost = self.ledger.counts["disconnected"]
        if lost < expected.least_reconnects:
            raise ScenarioFailedError(f"only {lost} streams were lost: it was not disturbed")

    async def releases(self) -> list[Release]:
        """What the database says of every target that was released."""
        async with await psycopg.AsyncConnection.connect(self.owner_url) as connection:
            cursor = connection.cursor(row_factory=class_row(Release))
            await cursor.execute(_RELEASES)
            return await cursor.fetchall()

    async def _do(self, step: Step) -> None:
        match step:
            case Publish(publish=revision):
                await self._publish(revision)
            case Await():
                await self._within(
                    f"rollout {step.until}", step.within_seconds, lambda: self._reached(step.until)
                )
            case Leave(offline=fraction):
                self.say(f"{fraction:.0%} of the agents go offline")
                await self.fleet.order(f"offline {fraction}")
            case Return():
                self.say("all agents come back")
                await self.fleet.order("online")
            case Kill():
                await self._kill(step)
            case Rotate():
                await self._rotate(step)
            case Pause(wait_seconds=seconds):
                await asyncio.sleep(seconds)

    async def _publish(self, revision: int) -> None:
        manifest = {
            "apiVersion": "arcbridge.io/v1",
            "kind": "Extension",
            "metadata": {"name": EXTENSION},
            "spec": {
                "placement": {"matchExpressions": [{"key": "ring", "operator": "Exists"}]},
                "source": {
                    "helm": {
                        "repo": "https://charts.fleet.example",
                        "chart": "fleet",
                        "version": f"1.0.{revision}",
                    }
                },
                "namespace": "fleet",
                "rollout": self.scenario.strategy.to_wire(),
            },
        }
        answer = await self._post("/desired", manifest)
        self._published = time.monotonic()
        self.say(f"published revision {revision}: rollout {answer['rolloutId']}")

    async def _kill(self, step: Kill) -> None:
        self.say(f"SIGKILL to {step.kill}")
        if step.kill == "redis":
            await self.redis.kill()
            await asyncio.sleep(step.for_seconds)
            await self.redis.start()
        else:
            for name, child in self.stack.children.items():
                if name.startswith(step.kill):
                    child.kill()

    async def _rotate(self, step: Rotate) -> None:
        """Start a rotation of the CA, and see it to its end. Raises ScenarioFailedError."""
        started = await self._post("/ca/rotate", {}, self.platform)
        before = next(each["id"] for each in started["generations"] if each["state"] == "Issuing")
        self.say(f"the CA rotates: generation {before} is to go")

        async def missing() -> str | None:
            status = await self._get("/ca", self.platform)
            states = {each["id"]: each["state"] for each in status["generations"]}
            if states[before] == "Removed":
                return None
            return f"{states[before]}; waits {'; '.join(status['waitingFor']) or 'for the timer'}"

        await self._within("the CA is rotated", step.within_seconds, missing)

    async def _reached(self, state: str) -> str | None:
        """None once the newest forward rollout is there, else where it is."""
        rollout = await self._newest_rollout()
        if rollout["state"] == state:
            return None
        if rollout["state"] in ("Succeeded", "Failed", "RolledBack", "Superseded", "Cancelled"):
            raise ScenarioFailedError(f"the rollout is {rollout['state']}, not {state}")
        return f"{rollout['state']}, {rollout['done']} of {rollout['total']} done"

    async def _newest_rollout(self) -> dict[str, Any]:
        return await self._row(
            "select r.state, sum(s.total)::int as total,"
            " sum(s.succeeded + s.failed + s.skipped)::int as done"
            " from rollouts r join rollout_stages s using (tenant_id, rollout_id)"
            " where r.kind = 'publish' group by r.rollout_id, r.state, r.created_at"
            " order by r.created_at desc limit 1"
        )

    async def _all_connected(self) -> str | None:
        if self.fleet.ended:
            raise ScenarioFailedError("a process of the fleet has ended; see its log")
        connected = (await self._row(_CONNECTED))["n"]
        return None if connected >= self.size else f"{connected} of {self.size}"

    async def _converged(self) -> str | None:
        revision = self.scenario.expect.revision
        there = sum(1 for each in self.ledger.ready.values() if each == revision)
        return None if there >= self.size else f"{there} of {self.size}"

    async def _within(self, what: str, seconds: float, missing: Callable[[], Any]) -> None:
        """Wait until nothing is missing. Raises ScenarioFailedError with what still is."""
        began = time.monotonic()
        left: str | None = "nothing was seen"
        told = began
        while (left := await missing()) is not None:
            now = time.monotonic()
            if now - began > seconds:
                raise ScenarioFailedError(f"{what}: not within {seconds:g} s, but {left}")
            if now - told > 10:
                self.say(f"  {what}: {left}")
                told = now
            await asyncio.sleep(LOOK_SECONDS)
        key = what
        while key in self.took:
            key += "'"
        self.took[key] = time.monotonic() - began
        self.say(f"{what} after {self.took[key]:.1f} s")

    async def _row(self, statement: str) -> dict[str, Any]:
        async with await psycopg.AsyncConnection.connect(self.owner_url) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement.encode())
            return await cursor.fetchone() or {}

    async def _get(self, path: str, headers: dict[str, str]) -> dict[str, Any]:
        answer = await self.http.get(path, headers=headers)
        if not answer.is_success:
            raise ScenarioFailedError(f"GET {path}: {answer.status_code} {answer.text[:500]}")
        result: dict[str, Any] = answer.json()
        return result

    async def _post(
        self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = await self.http.post(path, json=body, headers=headers)
        if not answer.is_success:
            raise ScenarioFailedError(f"POST {path}: {answer.status_code} {answer.text[:500]}")
        result: dict[str, Any] = answer.json()
        return result


@asynccontextmanager
async def directed(
    scenario: Scenario, size: int, state: Path, say: Callable[[str], None]
) -> AsyncIterator[Director]:
    """The stack and the fleet for the length of the block. `state` is emptied first."""
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    async with AsyncExitStack() as exit_stack:
        database = await exit_stack.enter_async_context(postgres(state / "postgres"))
        cache = await exit_stack.enter_async_context(redis(state / "redis"))
        # Of our own, because the stack does not give its servers out to be killed.
        os.environ["ARCBRIDGE_POSTGRES_URL"] = database.url()
        os.environ["ARCBRIDGE_REDIS_URL"] = cache.url()
        settings = StackSettings(
            state=state,
            http_port=free_port(),
            relay_port=free_port(),
            hosts=1 + size // AGENTS_PER_HOST,
            schedules=FAST_SCHEDULES,
            certificate_hours=scenario.certificate_minutes / 60
            if scenario.certificate_minutes
            else CERTIFICATE_HOURS,
        )
        running = await exit_stack.enter_async_context(stack(settings, say))
        say(f"the stack runs at {settings.control_plane_url}; {size} agents join")
        admin = await exit_stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"{settings.control_plane_url}/api/v1",
                headers={"Authorization": f"Bearer {await running.people.token('admin')}"},
                timeout=HTTP_SECONDS,
            )
        )
        platform = {"Authorization": f"Bearer {await running.people.token('platformAdmin')}"}
        ledger = Ledger()
        tokens = await bootstrap_tokens(admin, scenario, size)
        fleet = await exit_stack.enter_async_context(
            workers(scenario, tokens, settings.control_plane_url, state, ledger.hear)
        )
        yield Director(
            scenario, size, running, cache, database.url(), admin, platform, fleet, ledger, say
        )


async def bootstrap_tokens(
    admin: httpx.AsyncClient, scenario: Scenario, size: int
) -> list[tuple[str, str]]:
    """One for each agent, bound to its name and with its labels; with the CA pin."""
    from dev.fleet.nature import character

    places = asyncio.Semaphore(TOKENS_AT_ONCE)

    async def create(number: int) -> tuple[str, str]:
        who = character(scenario, number)
        async with places:
            answer = await admin.post(
                "/bootstrap-tokens", json={"clusterName": who.name, "labels": who.labels}
            )
        if not answer.is_success:
            raise ScenarioFailedError(f"no bootstrap token: {answer.text[:300]}")
        return answer.json()["token"], answer.json()["caPin"]

    return await asyncio.gather(*(create(number) for number in range(size)))
