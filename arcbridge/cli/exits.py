"""Exit statuses that scripts can tell apart; documented in docs/cli.md."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    meaning: str

    def __new__(cls, status: int, meaning: str) -> Exit:
        """Build a member that is its status and carries what it means."""
        member = int.__new__(cls, status)
        member._value_ = status
        member.meaning = meaning
        return member

    OK = (0, "done")
    FAILED = (
        1,
        "the server refused the request, or something else failed",
    )
    USAGE = (2, "the command line, a file or the configuration is wrong; nothing was sent")
    NOT_FOUND = (3, "there is no such thing in this tenant")
    DENIED = (4, "not logged in, or the role is not enough")
    CONFLICT = (5, "the state does not allow it now, or it changed meanwhile")
    UNAVAILABLE = (
        6,
        "no answer within the deadline, retries included",
    )
    ROLLOUT_FAILED = (
        7,
        "the rollout that was watched ended without reaching its goal, or any cluster",
    )
    NOT_INTACT = (8, "`events --verify` found the audit trail broken")


class CommandError(Exception):
    """Ends a command with words for a person and a status for a script."""

    def __init__(self, status: Exit, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.remedy = remedy
