"""Errors on the wire: RFC 9457 problem documents with a stable code."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from shared.contract.base import WireModel


class ErrorCode(StrEnum):
    """Stable codes; HTTP and gRPC statuses are chosen from them at the edges only."""

    INVALID_REQUEST = "InvalidRequest"
    """The body, a parameter or a header does not have the shape it must have."""
    UNAUTHENTICATED = "Unauthenticated"
    """No credential, or one that does not hold."""
    FORBIDDEN = "Forbidden"
    """The credential holds, but its role does not allow this."""
    REGISTRATION_REFUSED = "RegistrationRefused"
    """The bootstrap token is unknown, used, expired, revoked or bound to another cluster."""
    PENDING_APPROVAL = "PendingApproval"
    """The cluster waits for an admin's approval; Retry-After says when to ask again."""
    NOT_FOUND = "NotFound"
    """No such thing in this tenant."""
    CONFLICT = "Conflict"
    """The state of the thing does not allow this now."""
    ALREADY_EXISTS = "AlreadyExists"
    """The name is taken."""
    PRECONDITION_FAILED = "PreconditionFailed"
    """If-Match names another version than the stored one."""
    PRECONDITION_REQUIRED = "PreconditionRequired"
    """The call needs If-Match."""
    STALE_EPOCH = "StaleEpoch"
    """A newer session of this cluster exists: reconnect and take its epoch."""
    QUARANTINED = "Quarantined"
    """The revision is quarantined."""
    POLICY_VIOLATED = "PolicyViolated"
    """The tenant's artifact policy does not allow this source."""
    DEPENDENCY_CYCLE = "DependencyCycle"
    """The extension would depend on itself."""
    TOO_LARGE = "TooLarge"
    """The body is over its limit."""
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType"
    """The body is not of a content type this call reads."""
    RATE_LIMITED = "RateLimited"
    """Too many calls; Retry-After says when."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """The tenant has as many of these as it may have."""
    UNAVAILABLE = "Unavailable"
    """A server this call needs does not answer; nothing was lost; Retry-After says when."""
    INTERNAL = "Internal"
    """A defect of ours; the trace id finds it."""


class FieldError(WireModel):
    """One field that is wrong, and what to do about it."""

    field: str
    """Where: a path such as `spec.rollout.stages[0].soak`, a parameter or a header."""
    message: str
    remedy: str | None = None


class Problem(WireModel):
    """`application/problem+json`, RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int = Field(ge=400, le=599)
    code: ErrorCode
    detail: str
    trace_id: str | None = None
    runbook: str | None = None
    retry_after_seconds: float | None = None
    errors: tuple[FieldError, ...] = ()
