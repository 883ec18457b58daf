"""The one error that crosses layers; HTTP and gRPC turn it into their own at the edge only."""

from __future__ import annotations

from shared.contract.errors import ErrorCode, FieldError
from shared.contract.reasons import ReasonCode


class ArcBridgeError(Exception):
    """Something the caller can understand and act on.

    `detail` is one sentence in the user's words; `retry_after` is in seconds; `errors` names the
    fields that are wrong; `reason` leads to a runbook where one exists.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        retry_after: float | None = None,
        errors: tuple[FieldError, ...] = (),
        reason: ReasonCode | None = None,
    ) -> None:
        """Keep what the edges need to answer with."""
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.errors = errors
        self.reason = reason
