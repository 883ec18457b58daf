"""If-Match: a change is made to the version its author saw, or not at all."""

from __future__ import annotations

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError


def check_version(if_match: str | None, version: int) -> None:
    """Raise PreconditionFailed unless `if_match` is absent, `*`, or names `version`."""
    if if_match is None or if_match.strip() == "*":
        return
    named = {tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")}
    if str(version) not in named:
        raise ArcBridgeError(
            ErrorCode.PRECONDITION_FAILED,
            f"it changed meanwhile and is at version {version} now: read it again",
        )
