"""The agent's own errors: what libraries and tools raise is wrapped here before it travels on.

Nothing here carries a secret: messages are made by the code that raises, which scrubs what it
quotes.
"""

from __future__ import annotations

from shared.contract.reasons import ReasonCode


class AgentError(Exception):
    """Something the agent could not do. The message is for the operator."""


class KubeError(AgentError):
    """The Kubernetes API refused a call, or did not answer.

    `status` is the HTTP status, 0 when there was no answer; `reason` is the `reason` of the
    `metav1.Status` answer.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def retryable(self) -> bool:
        """True when the same call may succeed later without anyone changing anything."""
        return self.status in (0, 408, 429) or self.status >= 500


class KubeUnreachable(KubeError):
    """No answer within the deadline, or no connection."""


class KubeNotFound(KubeError):
    """404: no such object, or no such kind."""


class KubeAlreadyExists(KubeError):
    """409 AlreadyExists: the name is taken."""


class KubeConflict(KubeError):
    """409 Conflict: the object changed meanwhile, or a precondition does not hold."""


class KubeApplyConflict(KubeConflict):
    """409 to a server-side apply: other managers own fields that it sets.

    `owners` are pairs of field manager and field path, in the API server's notation.
    """

    def __init__(
        self, message: str, *, status: int, reason: str, owners: tuple[tuple[str, str], ...]
    ) -> None:
        super().__init__(message, status=status, reason=reason)
        self.owners = owners


class KubeGone(KubeError):
    """410: the resourceVersion is too old, list again."""


class KubeForbidden(KubeError):
    """401 or 403: the credential does not allow this."""


class KubeInvalid(KubeError):
    """400 or 422: the object does not fit its schema, or an admission webhook refused it; a 500
    that says so, too."""

    @property
    def retryable(self) -> bool:
        """Never: whatever the status, the object is to blame."""
        return False


class ToolError(AgentError):
    """helm or kubectl ended with an error. `output` is bounded and scrubbed."""

    def __init__(self, message: str, *, exit_code: int | None = None, output: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.output = output


class ToolTimedOut(ToolError):
    """helm or kubectl did not end within its deadline and was killed with its children."""


class StepFailed(AgentError):
    """A step of a reconcile ended in failure that is reported with `reason`.

    `final` is True when trying again with the same spec cannot help, `passing` when the trouble is
    the API server's own, and no fault of the spec.
    """

    def __init__(
        self, reason: ReasonCode, message: str, *, final: bool = False, passing: bool = False
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.final = final
        self.passing = passing
