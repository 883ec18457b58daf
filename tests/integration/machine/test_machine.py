"""Anything in any order, on real Postgres and Redis: the invariants hold, and all comes to an end.

ARCBRIDGE_EXAMPLES sets how many histories of thirty steps are played: one for a hundred examples of
a property. ARCBRIDGE_SEED, a number, gives others than those of each run. ARCBRIDGE_SHRINK=1 looks
for the shortest history that fails, which takes minutes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from redis.asyncio import Redis

from shared.store.database import Database
from tests.integration.engine.fleet import Clock
from tests.integration.machine.crashes import CrashingDatabase
from tests.integration.machine.machine import FleetMachine, Plane, Servers
from tests.integration.machine.snapshot import Reader
from tests.unit.planner.worlds.properties import EXAMPLES, SEED

RUNS = max(1, EXAMPLES // 100)
SHRINK = os.environ.get("ARCBRIDGE_SHRINK") == "1"


@pytest.fixture
def machine_servers(
    postgres_url: str, owner_postgres_url: str, redis_url: str
) -> Iterator[Servers]:
    reader = Reader.open(owner_postgres_url)
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        runner.run(stack.__aenter__())
        database = runner.run(stack.enter_async_context(Database.open(postgres_url)))
        redis = runner.run(stack.enter_async_context(Redis.from_url(redis_url, socket_timeout=5)))
        yield Servers(runner, Plane(CrashingDatabase(database), redis, Clock()), reader)
        runner.run(stack.aclose())
    reader.close()


@pytest.mark.timeout(3600)
def test_whatever_happens_invariants_hold_and_every_rollout_ends(machine_servers: Servers) -> None:
    machine = type("Machine", (FleetMachine,), {"servers": machine_servers, "steps": 0})
    if SEED is not None:
        machine = seed(int(SEED))(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
            derandomize=SEED is None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
