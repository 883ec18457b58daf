"""What a call can end with, as exceptions: problem documents by kind, and silence."""

from __future__ import annotations

from http import HTTPStatus

from shared.contract.errors import Problem


class ClientError(Exception):
    """Anything this library raises about a call."""


class Unreachable(ClientError):
    """No answer: the server cannot be reached, or the deadline passed."""


class Misconfigured(ClientError):
    """The server's address or the file of authorities cannot be used; nothing was sent."""


class Unintelligible(ClientError):
    """A success that is not what this call is answered with: not ArcBridge, or not this release."""


class ApiError(ClientError):
    """The server answered with a problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.problem.code}: {self.problem.detail}"


class Invalid(ApiError):
    """The request is wrong (400, 413, 415, 428): `problem.errors` names fields and remedies."""


class Denied(ApiError):
    """No credential, one that does not hold, or a role that is not enough (401, 403)."""


class NotFound(ApiError):
    """No such thing in this tenant (404)."""


class Conflict(ApiError):
    """The state of the thing does not allow it now, or it changed under us (409, 412)."""


class Unavailable(ApiError):
    """The server cannot do it now, and retrying did not help (429, 5xx)."""


_KINDS: dict[int, type[ApiError]] = {
    HTTPStatus.UNAUTHORIZED: Denied,
    HTTPStatus.FORBIDDEN: Denied,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.PRECONDITION_FAILED: Conflict,
    HTTPStatus.TOO_MANY_REQUESTS: Unavailable,
}


def api_error(problem: Problem) -> ApiError:
    """The exception for a problem document."""
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(problem)
    return _KINDS.get(problem.status, Invalid)(problem)
