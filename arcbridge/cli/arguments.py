"""Arguments that need more than Typer gives: ids, and times ahead."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from arcbridge.cli.exits import CommandError, Exit


def uuid_of(text: str) -> UUID:
    """An id. Raises CommandError."""
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(Exit.USAGE, f"{text!r} is not an id") from None


def time_ahead(text: str) -> datetime:
    """`12h` from now, or an RFC 3339 time. Raises CommandError."""
    from shared.contract.base import parse_duration

    try:
        return datetime.now(UTC) + parse_duration(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            Exit.USAGE, f"{text!r} is neither a duration such as 12h nor a time"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
