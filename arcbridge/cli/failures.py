"""The client library's exceptions as words and exit statuses."""

from __future__ import annotations

from pydantic import ValidationError

from arcbridge.cli.exits import CommandError, Exit
from arcbridge.client.errors import (
    ApiError,
    Conflict,
    Denied,
    NotFound,
    Unavailable,
    Unreachable,
)
from shared.contract.errors import ErrorCode, Problem

_STATUSES: tuple[tuple[type[Exception], Exit], ...] = (
    (Denied, Exit.DENIED),
    (NotFound, Exit.NOT_FOUND),
    (Conflict, Exit.CONFLICT),
    (Unavailable, Exit.UNAVAILABLE),
    (Unreachable, Exit.UNAVAILABLE),
)


def explained(error: Exception) -> CommandError | None:
    """The words for an exception; None for one that is a defect of this program."""
    if isinstance(error, ApiError):
        return CommandError(_status(error), _words(error.problem), remedy=_remedy(error.problem))
    if isinstance(error, Unreachable):
        return CommandError(Exit.UNAVAILABLE, str(error))
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or error.title
        return CommandError(Exit.USAGE, f"{where}: {first['msg']}")
    return None


def _status(error: ApiError) -> Exit:
    if error.problem.code is ErrorCode.INTERNAL:
        return Exit.FAILED
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), Exit.FAILED)


def _words(problem: Problem) -> str:
    if not problem.errors:
        return problem.detail
    lines = [f"{problem.code}: {len(problem.errors)} to mend"]
    for each in problem.errors:
        lines.append(f"  {each.field}: {each.message}")
        if each.remedy:
            lines.append(f"    -> {each.remedy}")
    return "\n".join(lines)


def _remedy(problem: Problem) -> str | None:
    if problem.code is ErrorCode.UNAUTHENTICATED:
        return "run: arcbridge login"
    if problem.runbook:
        return f"see {problem.runbook}"
    return f"trace id {problem.trace_id}" if problem.code is ErrorCode.INTERNAL else None
