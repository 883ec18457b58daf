"""Idempotency keys: the same POST sent twice acts once and gets the same answer.

A key belongs to one tenant and one request (who, which call, which content); it is kept for a day.
What a call does and the note that it is done are two transactions: when the process dies between
them, the key is free again after HOLDER_SECONDS, and the services' own rules (content-addressed
revisions, one rollback at a time) keep the repetition harmless. It never stores an answer that
holds a secret: those are the caller's business to leave out.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.contract.errors import ErrorCode, FieldError
from shared.contract.limits import IDEMPOTENCY_KEPT
from shared.domain.errors import ArcBridgeError
from shared.store.database import Database
from shared.store.json import jsonb
from shared.store.queries import load

HOLDER_SECONDS = 60.0
"""Longer than any request lives."""
_Q = load("idempotency")


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that this request holds."""

    tenant: str
    key: str
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer that the first request got; `response` is None where it was not kept."""

    status: int
    response: Any


async def claim(
    db: Database, *, tenant: str, key: str, route: str, request_sha: str
) -> Claim | KeptAnswer:
    """Take the key, or learn how its request was answered.

    Raises Conflict while the first request is under way, InvalidRequest when the key stands for
    another request.
    """
    names = {"tenant": tenant, "key": key}
    async with db.tenant(tenant) as tx:
        claimed = await tx.one(
            _Q.claim,
            **names,
            route=route,
            request_sha=request_sha,
            kept_seconds=IDEMPOTENCY_KEPT.total_seconds(),
            holder_seconds=HOLDER_SECONDS,
        )
        if claimed is not None:
            return Claim(tenant, key, claimed["created_at"])
        found = await tx.one(_Q.find, **names)
    if found is not None and found["request_sha"] != request_sha:
        raise _other_request()
    if found is None or found["status"] is None:
        raise ArcBridgeError(
            ErrorCode.CONFLICT, "The first request with this key is under way.", retry_after=1
        )
    return KeptAnswer(found["status"], found["response"])


async def keep(db: Database, claim: Claim, status: int, response: Any) -> None:
    """Remember the answer; `response` None when it must not be kept."""
    async with db.tenant(claim.tenant) as tx:
        await tx.execute(
            _Q.keep,
            tenant=claim.tenant,
            key=claim.key,
            claimed_at=claim.claimed_at,
            status=status,
            response=None if response is None else jsonb(response),
        )


async def give_up(db: Database, claim: Claim) -> None:
    """Free the key: the request was refused and may be sent again, mended or not."""
    async with db.tenant(claim.tenant) as tx:
        await tx.execute(
            _Q.give_up, tenant=claim.tenant, key=claim.key, claimed_at=claim.claimed_at
        )


def _other_request() -> ArcBridgeError:
    field = FieldError(
        field="Idempotency-Key",
        message="this key was used for another request",
        remedy="make a new key for each action",
    )
    return ArcBridgeError(
        ErrorCode.INVALID_REQUEST, f"{field.field}: {field.message}", errors=(field,)
    )
