"""Words and reason codes for what a target waits for on its own cluster before it is released."""

from __future__ import annotations

from typing import Final

from shared.contract.reasons import ReasonCode
from shared.planner.view import Found, Lack

_WORDS: Final = {
    Found.ABSENT: "{} is not there",
    Found.NOT_READY: "{} is not ready there",
    Found.FAILED: "{} failed there",
    Found.COMING: "{} is to be brought up to date there first",
    Found.DEPENDS: "{} depends on it and is still there",
}


def what_lacks(lack: Lack) -> str:
    """`cert-manager is not ready there`."""
    return _WORDS[lack.found].format(lack.extension)


def why_lacks(lack: Lack) -> ReasonCode:
    """DependencyNotReady, or for a removal DependentPresent."""
    if lack.found is Found.DEPENDS:
        return ReasonCode.DEPENDENT_PRESENT
    return ReasonCode.DEPENDENCY_NOT_READY
