"""`make attack`: starts a system, plays every row of the table, prints it, writes it down.

    python -m tests.attacks [words]
    python -m tests.attacks --table    the rows as docs/security.md has them

With words only the rows whose name holds one of them are played. Exit status 1 if one does not
hold.
"""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
import time
from pathlib import Path

from dev.backends import BackendError
from dev.stack.child import ChildError
from dev.stack.clusters import ClusterError
from dev.state import StateInUseError, owned, state_directory
from dev.tether import tie_to_make
from tests.attacks.attack import Attack, Outcome
from tests.attacks.playing import play_all
from tests.attacks.table import TABLE
from tests.attacks.target import running_target

FOLDER = "attack"
"""Below the state directory; its logs stay until the next run."""
RESULT = "attack.json"
WIDTH = 100


def chosen(words: list[str]) -> list[Attack]:
    """Every row, or those whose name holds one of the words."""
    return [each for each in TABLE if not words or any(word in each.name for word in words)]


def show(outcome: Outcome) -> None:
    """One row, as soon as it is known."""
    verdict = "held  " if outcome.held else "BROKEN"
    attack = outcome.attack
    print(f"{verdict} {attack.name}  ({outcome.seconds:.1f} s)")
    for label, text in (("expected", attack.expected), ("seen", outcome.seen)):
        print(
            textwrap.fill(
                f"{label:>8}: {text}", WIDTH, initial_indent="  ", subsequent_indent=" " * 12
            ),
            flush=True,
        )


def write_down(outcomes: list[Outcome], seconds: float) -> Path:
    """The result for machines, in the state directory."""
    path = state_directory() / RESULT
    rows = [
        {
            "entryPoint": outcome.attack.entry_point,
            "attack": outcome.attack.attack,
            "expected": outcome.attack.expected,
            "seen": outcome.seen,
            "held": outcome.held,
            "seconds": round(outcome.seconds, 2),
        }
        for outcome in outcomes
    ]
    content = {"held": all(each.held for each in outcomes), "seconds": round(seconds, 1)}
    path.write_text(json.dumps(content | {"rows": rows}, indent=1) + "\n")
    return path


async def attack(attacks: list[Attack]) -> list[Outcome]:
    """Play them against a system of their own."""
    started = time.monotonic()
    with owned(state_directory() / FOLDER) as folder:
        print("starting a system to attack …", flush=True)
        async with running_target(folder, lambda line: print(f"  {line}")) as target:
            print(f"it runs after {time.monotonic() - started:.1f} s", flush=True)
            return await play_all(attacks, target, show)


def main() -> int:
    """0 when every row held."""
    tie_to_make()
    if sys.argv[1:] == ["--table"]:
        print("\n".join(each.documented for each in TABLE))
        return 0
    attacks = chosen(sys.argv[1:])
    started = time.monotonic()
    try:
        outcomes = asyncio.run(attack(attacks))
    except (BackendError, ChildError, ClusterError, StateInUseError) as error:
        print(f"make attack: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    broken = [each for each in outcomes if not each.held]
    path = write_down(outcomes, seconds)
    print(
        f"\n{len(outcomes) - len(broken)} of {len(outcomes)} rows held in {seconds:.0f} s ({path})"
    )
    for each in broken:
        print(f"BROKEN {each.attack.name}: {each.seen}", file=sys.stderr)
    return 1 if broken or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
