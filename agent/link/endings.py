"""Why a stream ended, and what that means for the next one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import grpc

from shared.contract.reasons import ReasonCode
from shared.rpc.status import reason_in, retry_after_in

_DETAIL_CHARACTERS = 500


class End(StrEnum):
    """Why a stream ended."""

    REPLACE = "replace"
    """The agent itself wants another: a new certificate, a stale epoch."""
    DRAINED = "drained"
    """The relay goes away, or the stream is old, and the relay said so."""
    DUPLICATE = "duplicate"
    """A newer session of the same identity exists."""
    REVOKED = "revoked"
    """The certificate was revoked: only a new bootstrap token helps."""
    SUSPENDED = "suspended"
    """The tenant is suspended: the certificate is good, and will be let in again some day."""
    EXPIRED = "expired"
    """The certificate is past its end."""
    BROKEN = "broken"
    """The connection, or the relay, is gone."""


@dataclass(frozen=True)
class Ended:
    """How a session ended."""

    end: End
    detail: str = ""
    spread_seconds: float = 0.0
    """For a drain: reconnect at a random time within."""
    retry_after: float = 0.0
    """Seconds that the relay asks to wait at least."""
    welcomed: bool = False
    """Whether the relay had accepted the session."""


_BY_STATUS = {
    grpc.StatusCode.PERMISSION_DENIED: End.REVOKED,
    grpc.StatusCode.UNAUTHENTICATED: End.EXPIRED,
    grpc.StatusCode.ABORTED: End.DUPLICATE,
}
_BY_REASON = {
    ReasonCode.DUPLICATE_IDENTITY: End.DUPLICATE,
    ReasonCode.CERTIFICATE_REVOKED: End.REVOKED,
    ReasonCode.CERTIFICATE_EXPIRED: End.EXPIRED,
    ReasonCode.TENANT_SUSPENDED: End.SUSPENDED,
}


def ended_by(error: Exception) -> Ended:
    """What a call's status means; any other error means that the connection is gone.

    Where a reason came with the status, it says more than the status.
    """
    if not isinstance(error, grpc.aio.AioRpcError):
        return Ended(End.BROKEN, str(error)[:_DETAIL_CHARACTERS])
    detail = (error.details() or error.code().name)[:_DETAIL_CHARACTERS]
    trailers = tuple(error.trailing_metadata() or ())
    by_status = _BY_STATUS.get(error.code(), End.BROKEN)
    reason = known_reason(reason_in(trailers) or "")
    return Ended(
        by_status if reason is None else _BY_REASON.get(reason, by_status),
        detail,
        retry_after=retry_after_in(trailers) or 0.0,
    )


def ended_by_notice(reason: ReasonCode | None, message: str) -> Ended | None:
    """What a notice means for the stream; None when it goes on."""
    end = _BY_REASON.get(reason) if reason is not None else None
    return None if end is None else Ended(end, message[:_DETAIL_CHARACTERS])


def known_reason(text: str) -> ReasonCode | None:
    """The reason code of a notice; None for one that a later release added."""
    return next((reason for reason in ReasonCode if reason.value == text), None)
