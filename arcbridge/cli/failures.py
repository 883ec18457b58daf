"""Exceptions as words and exit statuses: the client library's, and of files that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from arcbridge.cli.exits import CommandError, Exit
from arcbridge.client.errors import (
    ApiError,
    Conflict,
    Denied,
    Misconfigured,
    NotFound,
    Unavailable,
    Unintelligible,
    Unreachable,
)
from shared.contract.errors import ErrorCode, FieldError, Problem
from shared.contract.violations import violations

_STATUSES: tuple[tuple[type[ApiError], Exit], ...] = (
    (Denied, Exit.DENIED),
    (NotFound, Exit.NOT_FOUND),
    (Conflict, Exit.CONFLICT),
    (Unavailable, Exit.UNAVAILABLE),
)


def explained(error: Exception) -> CommandError | None:
    """The words for an exception; None for one that is a defect of this program."""
    match error:
        case ApiError():
            return CommandError(_status(error), _words(error.problem), remedy=_remedy(error))
        case Unreachable():
            return CommandError(Exit.UNAVAILABLE, str(error))
        case Misconfigured():
            return CommandError(Exit.USAGE, str(error))
        case Unintelligible():
            return CommandError(Exit.FAILED, str(error))
        case ValidationError():
            wrong = violations(error, nameless=error.title)
            return CommandError(Exit.USAGE, _to_mend("not sent", wrong))
        case OSError(filename=str() as name):
            return CommandError(Exit.USAGE, f"{name}: {error.strerror}")
        case _:
            return None


def _status(error: ApiError) -> Exit:
    if error.problem.code is ErrorCode.INTERNAL:
        return Exit.FAILED
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), Exit.FAILED)


def _words(problem: Problem) -> str:
    return _to_mend(problem.code, problem.errors) if problem.errors else problem.detail


def _to_mend(what: str, wrong: Sequence[FieldError]) -> str:
    lines = [f"{what}: {len(wrong)} to mend"]
    for each in wrong:
        lines.append(f"  {each.field}: {each.message}")
        if each.remedy:
            lines.append(f"    -> {each.remedy}")
    return "\n".join(lines)


def _remedy(error: ApiError) -> str | None:
    problem = error.problem
    if problem.code is ErrorCode.UNAUTHENTICATED:
        return "run: arcbridge login"
    if problem.runbook:
        return f"see {problem.runbook}"
    return f"trace id {problem.trace_id}" if problem.code is ErrorCode.INTERNAL else None
