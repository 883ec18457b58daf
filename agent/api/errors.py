"""How a call to the control plane can fail."""

from __future__ import annotations

from agent.errors import AgentError
from shared.contract.errors import ErrorCode


class ControlPlaneUnreachable(AgentError):
    """No answer in time, or one that is not the control plane's: the call may be repeated."""


class ControlPlaneRefused(AgentError):
    """A problem document (RFC 9457). `retry_after` is in seconds, None where none was named."""

    def __init__(
        self, code: ErrorCode, detail: str, *, status: int, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """True when the same call may succeed later: the agent need do nothing but wait."""
        waits = self.code is ErrorCode.PENDING_APPROVAL
        return waits or self.status == 429 or self.status >= 500
