"""The ways a stream ends, each with what the agent is told and the gRPC status it sees."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import grpc

from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.rpc.status import status_of


@dataclass(frozen=True, slots=True)
class How:
    """What belongs to one way of ending."""

    label: str
    """In logs and metrics."""
    code: ErrorCode | None
    """None for an end in peace (status OK)."""
    detail: str
    notice: ReasonCode | None = None
    """Sent on the stream before it ends."""
    status: grpc.StatusCode | None = None
    """Where the code's own status would say too little."""


class Ending(Enum):
    """Why a stream ended."""

    LEFT = How("left", None, "the agent closed its stream")
    AGED = How("aged", None, "the stream has reached its age: connect again")
    REPLACED = How("replaced", ErrorCode.STALE_EPOCH, "the same agent has opened a newer stream")
    SUPERSEDED = How(
        "superseded",
        ErrorCode.STALE_EPOCH,
        "another agent with this identity has connected",
        notice=ReasonCode.DUPLICATE_IDENTITY,
    )
    REVOKED = How(
        "revoked",
        ErrorCode.FORBIDDEN,
        "the certificate was revoked: register again with a bootstrap token",
        notice=ReasonCode.CERTIFICATE_REVOKED,
    )
    EXPIRED = How(
        "expired",
        ErrorCode.UNAUTHENTICATED,
        "the certificate has reached its end: connect with a newer one",
        notice=ReasonCode.CERTIFICATE_EXPIRED,
    )
    SUSPENDED = How(
        "suspended",
        ErrorCode.FORBIDDEN,
        "the tenant is suspended",
        notice=ReasonCode.TENANT_SUSPENDED,
    )
    FORGOTTEN = How(
        "forgotten",
        ErrorCode.UNAVAILABLE,
        "the control plane does not know this session any more: connect again",
    )
    DRAINED = How("drained", ErrorCode.UNAVAILABLE, "this relay goes away: connect again")
    SILENT = How(
        "silent",
        ErrorCode.INVALID_REQUEST,
        "no heartbeat for several intervals",
        status=grpc.StatusCode.DEADLINE_EXCEEDED,
    )
    STUCK = How("stuck", ErrorCode.RATE_LIMITED, "the stream takes no messages")
    MALFORMED = How(
        "malformed", ErrorCode.INVALID_REQUEST, "the stream does not keep to the protocol"
    )
    FAILED = How("failed", ErrorCode.INTERNAL, "an error of the relay's own")

    @property
    def status(self) -> grpc.StatusCode:
        """The status of the call."""
        how = self.value
        if how.code is None:
            return grpc.StatusCode.OK
        return how.status or status_of(how.code)
