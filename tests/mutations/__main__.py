"""`make mutations`: N seeded mutants against a control plane of its own.

    python -m tests.mutations [N] [SEED]

Exit status 1 for any 5xx, or a host that grew by more than a tenth.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from pathlib import Path

from dev.backends import BackendError
from dev.stack.child import ChildError
from dev.state import StateInUseError, owned, state_directory
from dev.tether import tie_to_make
from tests.attacks.target import running_target
from tests.mutations.played import GROWTH, play
from tests.mutations.sending import Findings

REQUESTS = 20_000
RESULT = "mutations.json"


def progress(found: Findings) -> None:
    """One line, again and again."""
    print(f"\r{found.sent} sent, {len(found.failures)} failed ", end="", flush=True)


async def run(count: int, seed: int) -> Findings:
    """Start a system, send, stop it."""
    with owned(state_directory() / "mutations") as folder:
        print(f"starting a control plane; seed {seed}", flush=True)
        async with running_target(folder, lambda line: print(f"  {line}")) as target:
            return await play(target, seed=seed, count=count, tell=progress)


def write_down(found: Findings, seconds: float) -> Path:
    """The result for machines."""
    path = state_directory() / RESULT
    content = {
        "seed": found.seed,
        "requests": found.sent,
        "statuses": {str(status): n for status, n in sorted(found.statuses.items())},
        "failures": found.failures,
        "warmBytes": found.warm_bytes,
        "endBytes": found.end_bytes,
        "seconds": round(seconds, 1),
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def main() -> int:
    """0 when nothing failed and nothing grew."""
    tie_to_make()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbelow(2**32)
    started = time.monotonic()
    try:
        found = asyncio.run(run(count, seed))
    except (BackendError, ChildError, StateInUseError) as error:
        print(f"make mutations: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    print(f"\n{found.told()} ({seconds:.0f} s; {write_down(found, seconds)})")
    for failure in found.failures[:20]:
        print(f"FAILED {failure}", file=sys.stderr)
    if found.growth > GROWTH:
        print(f"FAILED the host grew by {found.growth:.0%}", file=sys.stderr)
    return 1 if found.failures or found.growth > GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
