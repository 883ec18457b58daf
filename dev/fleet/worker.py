"""`python -m dev.fleet.worker PLAN`: some hundred agents in one process.

The plan is a JSON file. Orders come on standard input, one word and its arguments a line; events go
to standard output as JSON lines, many at a time. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.api.transport import Transport
from dev.fleet.agent import FleetAgent, World
from dev.fleet.nature import character, leaves
from dev.fleet.scenario import Scenario

FLUSH_SECONDS = 0.2
STARTS_PER_SECOND = 40.0


@dataclass
class Events:
    """Gathers events and writes them a few times a second."""

    lines: list[str]

    def record(self, kind: str, **fields: Any) -> None:
        self.lines.append(json.dumps({"e": kind, **fields}, separators=(",", ":")))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            taken, self.lines = self.lines, []
            if taken:
                sys.stdout.write("\n".join(taken) + "\n")
                sys.stdout.flush()


async def orders() -> asyncio.StreamReader:
    """Standard input."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def run(plan: dict[str, Any]) -> None:
    """Run the agents until standard input ends."""
    scenario = Scenario.model_validate(plan["scenario"])
    events = Events([])
    transports = [Transport(plan["controlPlaneUrl"]) for _ in range(8)]
    registry = asyncio.Semaphore(max(1, scenario.nature.pulls_at_once // plan["processes"]))
    agents: list[FleetAgent] = []
    for index, (number, token) in enumerate(zip(plan["numbers"], plan["tokens"], strict=True)):
        transport = transports[index % len(transports)]
        world = World(plan["controlPlaneUrl"], transport, registry, events.record)
        agents.append(FleetAgent(character(scenario, number), number, token, plan["caPin"], world))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(events.run()), group.create_task(start(agents, group))]
        reader = await orders()
        while line := await reader.readline():
            obey(line.decode().split(), agents, scenario)
        for task in tasks:
            task.cancel()
        raise Finished


class Finished(Exception):
    """The director has gone."""


async def start(agents: list[FleetAgent], group: asyncio.TaskGroup) -> None:
    """One after the other, as a fleet is connected."""
    for each in agents:
        group.create_task(each.run())
        await asyncio.sleep(1 / STARTS_PER_SECOND)


def obey(order: list[str], agents: list[FleetAgent], scenario: Scenario) -> None:
    """`offline FRACTION` or `online`."""
    match order:
        case ["offline", fraction]:
            for each in agents:
                if leaves(scenario, each.number, float(fraction)):
                    each.leave()
        case ["online"]:
            for each in agents:
                each.online.set()
        case _:
            raise ValueError(order)


def main() -> int:
    """Exit status 0 when the director has gone, 1 for anything else."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    try:
        asyncio.run(run(plan))
    except* Finished:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
