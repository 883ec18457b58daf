"""Errors to RFC 9457 problem documents: the one place where an HTTP status is chosen.

Says nothing of what went on inside: an unexpected exception becomes `Internal` with a trace id,
by which its log line and spans are found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from shared.contract.errors import ErrorCode, Problem
from shared.domain.errors import ArcBridgeError

CONTENT_TYPE = "application/problem+json"

STATUS: Mapping[ErrorCode, HTTPStatus] = MappingProxyType(
    {
        ErrorCode.INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
        ErrorCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
        ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
        ErrorCode.REGISTRATION_REFUSED: HTTPStatus.FORBIDDEN,
        ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
        ErrorCode.CONFLICT: HTTPStatus.CONFLICT,
        ErrorCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
        ErrorCode.PRECONDITION_FAILED: HTTPStatus.PRECONDITION_FAILED,
        ErrorCode.PRECONDITION_REQUIRED: HTTPStatus.PRECONDITION_REQUIRED,
        ErrorCode.STALE_EPOCH: HTTPStatus.CONFLICT,
        ErrorCode.QUARANTINED: HTTPStatus.CONFLICT,
        ErrorCode.POLICY_VIOLATED: HTTPStatus.FORBIDDEN,
        ErrorCode.DEPENDENCY_CYCLE: HTTPStatus.CONFLICT,
        ErrorCode.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
        ErrorCode.QUOTA_EXCEEDED: HTTPStatus.FORBIDDEN,
        ErrorCode.PENDING_APPROVAL: HTTPStatus.CONFLICT,
        ErrorCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
        ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)


def problem(error: ArcBridgeError, trace_id: str | None) -> Problem:
    """The document for an error; `type` leads to the code's explanation on the docs page."""
    status = STATUS[error.code]
    return Problem(
        type=f"/api/docs#{error.code}",
        title=status.phrase,
        status=status,
        code=error.code,
        detail=error.detail,
        trace_id=trace_id,
        runbook=error.reason.runbook if error.reason else None,
        retry_after_seconds=error.retry_after,
        errors=error.errors,
    )


def problem_headers(error: ArcBridgeError) -> dict[str, str]:
    """The headers that belong to the status: Retry-After (whole seconds, up), WWW-Authenticate."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Bearer realm="arcbridge", error="invalid_token"'
    return headers


def internal() -> ArcBridgeError:
    """What the caller is told of a defect."""
    return ArcBridgeError(
        ErrorCode.INTERNAL,
        "Something went wrong on our side. Report it with the trace id; nothing was lost by it.",
    )
