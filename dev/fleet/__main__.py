"""`python -m dev.fleet -n 1000 bad-canary`: play a scenario and say whether it went as it must."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from dev.fleet import scenario as scenarios
from dev.fleet.director import Director, ScenarioFailedError, directed
from dev.fleet.ledger import Ledger, breaches, quantile
from dev.fleet.scenario import Scenario
from dev.state import owned, state_directory

LEGS = (
    ("registered", "registration"),
    ("connected", "stream opened"),
    ("released -> started", "released to document fetched"),
    ("heartbeat", "between two heartbeats"),
    ("fetched", "GET /desired"),
    ("reported", "POST /status"),
    ("released -> finished", "released to counted"),
)


async def play(chosen: Scenario, size: int) -> int:
    """0 when it ended as its file says and nothing was breached, else 1."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    with owned(state_directory() / "fleet-lock"):
        async with directed(chosen, size, state_directory() / "fleet", say) as director:
            failure = None
            try:
                await director.play()
            except ScenarioFailedError as error:
                failure = str(error)
            return await conclude(director, failure)


async def conclude(director: Director, failure: str | None) -> int:
    """Print what happened; the exit status."""
    releases = await director.releases()
    director.ledger.join(releases)
    print(f"\n{director.size} agents, {len(releases)} releases")
    for what, seconds in director.took.items():
        print(f"  {what:40} {seconds:8.1f} s")
    print_legs(director.ledger)
    noticed = {name: count for name, count in sorted(director.ledger.counts.items())
               if name not in dict(LEGS)}  # fmt: skip
    for name, count in noticed.items():
        print(f"  {name:80} {count:6}")
    found = breaches(director.scenario, releases, director.ledger)
    for breach in found:
        print(f"BREACH: {breach}")
    if failure:
        print(f"FAILED: {failure}")
    if not found and not failure:
        print("as the scenario says; no invariant breached")
    return 1 if found or failure else 0


def print_legs(ledger: Ledger) -> None:
    """Median and 99th percentile of each leg."""
    print(f"\n  {'leg':40} {'count':>8} {'p50':>9} {'p99':>9}")
    for key, name in LEGS:
        values = ledger.times.get(key)
        if values:
            half, most = quantile(values, 0.5), quantile(values, 0.99)
            print(f"  {name:40} {len(values):8} {half:7.3f} s {most:7.3f} s")
    print()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 only if the scenario ended as its file says."""
    parser = argparse.ArgumentParser(prog="python -m dev.fleet", description=__doc__)
    parser.add_argument("-n", type=int, default=100, help="how many agents (100)")
    parser.add_argument(
        "scenario",
        nargs="?",
        default="bad-canary",
        help=f"a file, or one of {', '.join(scenarios.names())}",
    )
    options = parser.parse_args(arguments)
    try:
        chosen = scenarios.load(options.scenario)
    except FileNotFoundError as error:
        parser.error(f"no such scenario: {error.filename}")
    print(f"{options.scenario}: {chosen.about}")
    return asyncio.run(play(chosen, options.n))


if __name__ == "__main__":
    sys.exit(main())
