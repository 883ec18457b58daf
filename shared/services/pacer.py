"""The rollout pacer: look, plan, take tokens, carry out; any number of instances at once.

One pass is one transaction that holds the rollout's row from the look to the commit, so two pacers
never act on the same look. Tokens are taken between passes, never inside a transaction; the pass
after that plans anew and releases only what it still wants. A crash anywhere leaves a state from
which the next pass goes on: nothing is kept in memory between passes but tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from shared.pacing.source import Bucket, Grant
from shared.planner.decisions import Plan, Release
from shared.planner.grant import ahead, granted, wanted
from shared.planner.plan import plan
from shared.planner.waiting import paced
from shared.services import adaptive_pace, catch_up, corrections, pace, wakeups
from shared.services.apart import Apart
from shared.services.caller import Caller
from shared.services.carry_out import Done, carry_out
from shared.services.failpoints import hit
from shared.services.hot_path import HotPath
from shared.services.rollout_view import BATCH, Looked, look
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Transaction
from shared.telemetry.tracing import Kind, span, traceparent

_Q = load("pacer")
_log = logging.getLogger(__name__)

NAME: Final = "rollout_pacer"
PASSES: Final = 24
"""Of one rollout in one call; what is left is due at once for the next call."""
PATIENCE_SECONDS: Final = 0.25
"""A token that comes in sooner than this is waited for; others are left to the next look."""
ROLLOUTS: Final = 200
"""Rollouts that one tick looks at, those due longest first."""
AT_ONCE: Final = 4
"""Rollouts that one tick looks at at the same time."""


async def tick(cp: HotPath) -> int:
    """Look at every rollout that is due; the number looked at.

    A rollout that another pacer has is left to it. One that fails is logged and does not keep the
    others from being looked at; the failures are raised when all were, as an ExceptionGroup.
    """
    apart = Apart(_log)
    with apart.piece("catch_up"):
        await catch_up.run(cp)
    with apart.piece("corrections"):
        await corrections.run(cp)
    async with cp.db.platform() as tx:
        due = await tx.all(_Q.due_rollouts, now=cp.clock(), limit=ROLLOUTS)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(tenant: str, rollout_id: UUID) -> None:
        async with places:
            with apart.piece("pacer", tenant=tenant, rollout=str(rollout_id)):
                await tick_rollout(cp, tenant, rollout_id, wait=False)

    async with asyncio.TaskGroup() as group:
        for row in due:
            group.create_task(one(row["tenant_id"], row["rollout_id"]))
    apart.raise_failures()
    return len(due)


async def tick_rollout(cp: HotPath, tenant: str, rollout_id: UUID, *, wait: bool = True) -> None:
    """Take one rollout as far as it goes now. With `wait`, wait for a pacer that has it.

    Raises ArcBridgeError Unavailable when the database does not answer or the row stays taken.
    """
    grant: Grant | None = None
    for _ in range(PASSES):
        done = await _pass(cp, tenant, rollout_id, grant, wait=wait)
        if done is None:
            return
        await _afterwards(cp, tenant, done)
        if done.wanted:
            if grant is not None and not grant.count:
                if grant.retry_after > PATIENCE_SECONDS:
                    return
                await asyncio.sleep(grant.retry_after)
            grant = await pace.take(cp, done.buckets, done.wanted)
        elif done.ahead:
            grant = await pace.take(cp, done.buckets, done.ahead)
        elif done.changed:
            grant = None
        else:
            return


@dataclass(frozen=True, slots=True)
class _Passed:
    """What one pass came to."""

    looked: Looked
    done: Done
    changed: bool
    """Something was carried out that may allow more."""
    wanted: int
    """Targets that could be released, had there been tokens."""
    ahead: int
    """Targets that the next look can release, where this one released a full batch."""
    buckets: Sequence[Bucket]


async def _pass(
    cp: HotPath, tenant: str, rollout_id: UUID, grant: Grant | None, *, wait: bool
) -> _Passed | None:
    async with cp.db.tenant(tenant) as tx:
        looked = await look(tx, tenant, rollout_id, cp.clock, wait=wait)
        if looked is None or looked.view.state.is_over:
            return None
        planned = plan(looked.view, looked.now)
        decisions = granted(planned.decisions, grant.count if grant else 0)
        missing = wanted(planned.decisions) - wanted(decisions)
        with span("rollout.carry_out", parent=looked.traceparent, kind=Kind.PRODUCER) as current:
            current.set_attribute("arcbridge.rollout", str(rollout_id))
            caller = Caller(actor=f"system:{NAME}", tenant=tenant, traceparent=looked.traceparent)
            parent = traceparent() or looked.traceparent
            done = await carry_out(tx, caller, looked, decisions, parent)
        more = len(looked.view.candidates) >= BATCH and bool(done.released)
        changed = more or any(not isinstance(decision, Release) for decision in decisions)
        await _note(cp, tx, tenant, looked, planned, grant, changed=changed, missing=missing)
        hit("pacer.before_commit")
    hit("pacer.after_commit")
    view = looked.view
    found = pace.buckets(
        tenant,
        rollout_id,
        view.kind,
        view.strategy,
        origin=looked.origin,
        per_minute=planned.pacing.per_minute if planned.pacing else None,
    )
    following = ahead(view, decisions, BATCH)
    return _Passed(looked, done, changed, missing, following, found)


async def _note(
    cp: HotPath,
    tx: Transaction,
    tenant: str,
    looked: Looked,
    planned: Plan,
    grant: Grant | None,
    *,
    changed: bool,
    missing: int,
) -> None:
    """Write what is waited for, and when to look again if nobody nudges before that."""
    now = cp.clock()
    waiting, after = planned.waiting_for, planned.look_again_at
    if missing and grant is not None:
        until = now + timedelta(seconds=grant.retry_after)
        waiting = paced(looked.view, missing, planned.pacing, now, until)
        after = min(after or until, until)
    elif changed or missing:
        after = now
    await tx.execute(
        _Q.note_plan,
        tenant=tenant,
        rollout=looked.view.rollout_id,
        waiting_for=jsonb(waiting.to_wire()) if waiting else None,
        pacing=jsonb(adaptive_pace.kept(planned.pacing)) if planned.pacing else None,
        plan_after=after,
        now=now,
    )


async def _afterwards(cp: HotPath, tenant: str, passed: _Passed) -> None:
    """After the commit: the rollback's burst, and the wake-ups. Neither may fail the pass."""
    rollback = passed.done.rollback
    if rollback is not None:
        await pace.fill(cp, tenant, rollback.rollout_id, passed.looked.view.strategy)
    if passed.done.released or passed.done.reverted:
        await wakeups.try_to_send(cp)
