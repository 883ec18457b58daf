"""If-Match: a change is made to the version its author saw, or not at all.

So nobody else may change it between the look at its version and the commit: a row that is there is
taken by the statement that reads it (`for no key update`), one that may not be there yet by `hold`.
"""

from __future__ import annotations

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.store.queries import load
from shared.store.transaction import Transaction

_S = load("store")


async def hold(tx: Transaction, tenant: str, subject: str) -> None:
    """Let nobody else change what the tenant has under `subject` until the transaction ends."""
    await tx.one(_S.advisory_lock, name=f"{subject}/{tenant}")


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
