"""Drift set right on many clusters, at the pace at which the extension's rollouts release.

What was asked for waits as marked drifts; the pacer takes tokens (a bucket of the extension's own,
its tenant's, its chart registry's) and asks as many agents as there are tokens. A crash between the
two loses tokens, never a correction. Setting one drift right (`drift.correct`) needs no token.
Freezes do not hold corrections: they bring back what is declared, nothing new.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from shared.contract.cluster import CorrectionsAsked, DriftCorrection
from shared.contract.errors import ErrorCode
from shared.contract.extension import ExtensionSpec
from shared.contract.reasons import ReasonCode
from shared.contract.strategy import RolloutStrategy
from shared.domain.errors import ArcBridgeError
from shared.pacing.source import Bucket
from shared.services import audit, pace, selectors, wakeups
from shared.services.apart import Apart
from shared.services.caller import Caller
from shared.services.hot_path import HotPath
from shared.store.queries import load

_Q = load("drift")
_P = load("publish")
_log = logging.getLogger(__name__)

AT_ONCE: Final = 10_000
"""Drifts that one call asks for; the same call again asks for the next ones."""
EXTENSIONS: Final = 50
"""Extensions that one tick looks at, those that wait longest first."""
PASSES: Final = 24
PATIENCE_SECONDS: Final = 0.25
"""A token that comes in sooner than this is waited for; others are left to the next tick."""


async def ask(cp: HotPath, caller: Caller, request: DriftCorrection) -> CorrectionsAsked:
    """Have the open drifts of an extension's objects set right, once each, as the pace allows.

    Raises NotFound for an extension that does not exist, InvalidRequest for a bad selector. The
    same again asks for what came in since.
    """
    chosen = selectors.parse(request.labels or "")
    place = {"tenant": caller.tenant, "extension": request.extension}
    async with cp.db.tenant(caller.tenant) as tx:
        extension = await tx.one(_P.read_extension, **place)
        if extension is None or extension["deleted_at"] is not None:
            raise ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no extension {request.extension}")
        rows = await tx.all(_Q.correctable, **place, limit=AT_ONCE)
        ids = [row["drift_id"] for row in rows if chosen.matches(row["labels"])]
        asked = 0
        if ids:
            asked = await tx.execute(
                _Q.ask_corrections, tenant=caller.tenant, ids=ids, now=cp.clock()
            )
            await audit.append(
                tx,
                caller,
                "drift.correct_many",
                f"extension/{request.extension}",
                message=request.reason or "",
                data={"clusters": asked, "labels": request.labels},
            )
    await release(cp, caller.tenant, request.extension, passes=1)
    async with cp.db.tenant(caller.tenant) as tx:
        waiting = await tx.value(_Q.count_waiting_corrections, **place)
    return CorrectionsAsked(asked=asked, waiting=waiting)


async def run(cp: HotPath) -> None:
    """Release what waits, of every extension: for the pacer's tick, safe to run twice at once."""
    async with cp.db.platform() as tx:
        rows = await tx.all(_Q.waiting_corrections, limit=EXTENSIONS)
    apart = Apart(_log)
    for row in rows:
        tenant, extension = row["tenant_id"], row["extension"]
        with apart.piece("corrections", tenant=tenant, extension=extension):
            await release(cp, tenant, extension)
    apart.raise_failures()


async def release(cp: HotPath, tenant: str, extension: str, *, passes: int = PASSES) -> None:
    """Ask as many agents as there are tokens now; what is left waits for the next tick."""
    place = {"tenant": tenant, "extension": extension}
    buckets = await _buckets(cp, tenant, extension)
    released = 0
    for _ in range(passes):
        async with cp.db.tenant(tenant) as tx:
            waiting = await tx.value(_Q.count_waiting_corrections, **place)
        if not waiting:
            break
        grant = await pace.take(cp, buckets, waiting)
        if grant.count:
            asked = await _release(cp, tenant, extension, grant.count)
            released += asked
            if not asked:
                break  # reports have them in hand
        elif grant.retry_after > PATIENCE_SECONDS:
            break
        else:
            await asyncio.sleep(grant.retry_after)
    if released:
        await wakeups.try_to_send(cp)


async def _buckets(cp: HotPath, tenant: str, extension: str) -> list[Bucket]:
    """By the newest strategy; by the default one while every revision is quarantined."""
    async with cp.db.tenant(tenant) as tx:
        revision = await tx.one(_Q.newest_spec, tenant=tenant, extension=extension)
    if revision is None:
        return pace.buckets_of_corrections(tenant, extension, RolloutStrategy(), None)
    spec = ExtensionSpec.model_validate(revision["spec"])
    return pace.buckets_of_corrections(tenant, extension, spec.rollout, spec.source.origin)


async def _release(cp: HotPath, tenant: str, extension: str, tokens: int) -> int:
    async with cp.db.tenant(tenant) as tx:
        rows = await tx.all(
            _Q.release_corrections, tenant=tenant, extension=extension, tokens=tokens
        )
        caller = Caller.system("rollout_pacer", tenant)
        await audit.append_all(tx, caller, [_entry(extension, row) for row in rows])
    return len(rows)


def _entry(extension: str, row: dict[str, Any]) -> audit.Entry:
    return audit.Entry(
        action="drift.correct",
        subject=f"cluster/{row['cluster']}",
        reason=ReasonCode.PACED,
        message="a correction over many clusters",
        data={
            "extension": extension,
            "drift": str(row["drift_id"]),
            "correction": row["correction"],
        },
    )
