"""What nobody foresaw, as a defect of the agent's own: once in the log, and told as a failure.

Neither the log nor the failure quotes what an exception says of itself: a library may put a value
into its words, and a value may be a secret. Its type, and the lines of code that it came through,
are what mends it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from agent.errors import AgentError, StepFailed
from shared.contract.reasons import ReasonCode
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

_AGENT = Path(__file__).resolve().parents[1]
EVENT = "unforeseen error"
"""The log's event."""


class Unforeseen:
    """Makes failures of one extension's errors; the same error twice is logged once."""

    def __init__(self, extension: str) -> None:
        self._extension = extension
        self._logged: set[str] = set()

    def failure(self, error: Exception, reason: ReasonCode) -> StepFailed:
        """The failure that tells of `error`. The agent's own errors speak for themselves."""
        if isinstance(error, StepFailed):
            return error
        if isinstance(error, AgentError):
            return StepFailed(reason, str(error))
        what = f"{type(error).__name__} in {place_of(error)}"
        if what not in self._logged:
            self._logged.add(what)
            log.error(EVENT, extension=self._extension, error=what, came_through=list(_way(error)))
        return StepFailed(
            reason,
            f"the agent has a defect here, or met something that nobody thought of: {what}. Its "
            f"log says which way it came, under {EVENT!r}; please report that. Other extensions "
            "are not affected; a new release of this one is tried afresh",
        )


def place_of(error: Exception) -> str:
    """`agent/reconcile/releases.py, line 12`: the agent's innermost line."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(_AGENT)]
    if not own:
        return "an unknown place"
    return f"{Path(own[-1].filename).relative_to(_AGENT.parent)}, line {own[-1].lineno}"


def _way(error: BaseException | None) -> Iterator[str]:
    """Types and lines of an error and what caused it, the newest error first."""
    while error is not None:
        yield type(error).__name__
        for frame in traceback.extract_tb(error.__traceback__):
            yield f"{frame.filename}:{frame.lineno} {frame.name}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
