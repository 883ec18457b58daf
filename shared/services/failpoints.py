"""Named places at which a test can kill the process or raise: before and after every commit.

Inert unless ARCBRIDGE_FAILPOINTS is set, to `name=action` entries separated by commas, where the
action is `kill` (SIGKILL to this process) or `raise`, and `name=action@3` means the third time:

    ARCBRIDGE_FAILPOINTS=pacer.before_commit=kill@2

Names are `<use-case>.before_commit` and `<use-case>.after_commit`.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "ARCBRIDGE_FAILPOINTS"

_hits: Counter[str] = Counter()


class Failpoint(BaseException):
    """Raised by a failpoint: like a crash, no handler of errors may take it for one."""


def hit(name: str) -> None:
    """Act when this place was named, and this is the time that was named."""
    configured = os.environ.get(VARIABLE)
    if not configured:
        return
    _hits[name] += 1
    for entry in configured.split(","):
        place, _, action = entry.partition("=")
        what, _, time = action.partition("@")
        if place.strip() == name and _hits[name] == int(time or 1):
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise Failpoint(name)


def reset() -> None:
    """Count from the start again."""
    _hits.clear()
