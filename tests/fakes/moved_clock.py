"""`python -m tests.fakes.moved_clock SECONDS`: the agent on a machine whose clock is off by that.

The agent reads the wall clock in one place, so no other process is moved with it.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from agent.__main__ import main
from agent.clock import SystemClock


def move(by: timedelta) -> None:
    """Every reading of the wall clock is off by this from now on."""

    def now(_: SystemClock) -> datetime:
        return datetime.now(UTC) + by

    SystemClock.now = now  # type: ignore[method-assign] # that is the point


if __name__ == "__main__":
    move(timedelta(seconds=float(sys.argv[1])))
    sys.exit(main())
