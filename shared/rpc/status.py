"""ArcBridge's error codes as gRPC statuses, chosen here and nowhere else.

The status tells generic clients what kind of failure it is; the exact code travels beside it in
trailing metadata, and so does the time to wait, under the key that gRPC's own retry uses (gRFC A6).
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from shared.contract.errors import ErrorCode

CODE_KEY = "arcbridge-code"
REASON_KEY = "arcbridge-reason"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

_STATUS = {
    ErrorCode.INVALID_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorCode.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    ErrorCode.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    ErrorCode.REGISTRATION_REFUSED: grpc.StatusCode.PERMISSION_DENIED,
    ErrorCode.PENDING_APPROVAL: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorCode.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorCode.CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorCode.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    ErrorCode.PRECONDITION_FAILED: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorCode.PRECONDITION_REQUIRED: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorCode.STALE_EPOCH: grpc.StatusCode.ABORTED,
    ErrorCode.POLICY_VIOLATED: grpc.StatusCode.PERMISSION_DENIED,
    ErrorCode.QUARANTINED: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorCode.DEPENDENCY_CYCLE: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorCode.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorCode.RATE_LIMITED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.QUOTA_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    ErrorCode.INTERNAL: grpc.StatusCode.INTERNAL,
}


def status_of(code: ErrorCode) -> grpc.StatusCode:
    """The gRPC status that a code is sent as."""
    return _STATUS[code]


def trailers_of(
    code: ErrorCode, *, retry_after: float | None = None, reason: str | None = None
) -> tuple[tuple[str, str], ...]:
    """Trailing metadata: the code; where they exist, the pause in milliseconds and the reason."""
    trailers = [(CODE_KEY, code.value)]
    if retry_after is not None:
        trailers.append((PUSHBACK_KEY, str(round(retry_after * 1000))))
    if reason is not None:
        trailers.append((REASON_KEY, reason))
    return tuple(trailers)


def code_in(trailers: Iterable[tuple[str, str | bytes]] | None) -> ErrorCode | None:
    """The code that a server put into its trailing metadata; None where there is none we know."""
    text = _value(trailers, CODE_KEY)
    try:
        return ErrorCode(text) if text else None
    except ValueError:
        return None


def reason_in(trailers: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    """The reason code that a server put beside its code; it may be one of a later release."""
    return _value(trailers, REASON_KEY)


def retry_after_in(trailers: Iterable[tuple[str, str | bytes]] | None) -> float | None:
    """Seconds to wait at least, as the server asks; None where it does not ask.

    gRFC A6: a value that is not a number from 0 up means "do not retry"; it counts as absent here,
    because an agent always comes back, in its own time.
    """
    text = _value(trailers, PUSHBACK_KEY)
    return int(text) / 1000 if text is not None and text.isdecimal() else None


def _value(trailers: Iterable[tuple[str, str | bytes]] | None, key: str) -> str | None:
    for name, value in trailers or ():
        if name == key and isinstance(value, str):
            return value
    return None
