"""Drives the CA's rotation: looks how far it has come, and takes the steps that are due.

Each step is one transaction and changes a generation only from the state it was decided on, so the
sweep may run twice at once, die anywhere, and be missed: the next one finds what is to be done. It
prepares a generation by itself only where keys are made (a folder, in development); elsewhere an
operator certifies one with the offline root and says so (`ca.rotate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.contract.ca import CaState
from shared.contract.limits import APPROVAL_WINDOW, REGISTER_REPEAT_WINDOW
from shared.identity.rotation import (
    PREPARE_LEFT,
    Decision,
    Facts,
    Holders,
    Move,
    Standing,
    Step,
    decide,
)
from shared.identity.trust import Trust
from shared.services import audit, failpoints, timers
from shared.services.authority import columns
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.queries import load
from shared.store.transaction import Row, Transaction
from shared.telemetry.logs import get_logger

_Q = load("ca")
_log = get_logger(__name__)

RELAY_SILENT = timedelta(seconds=20)
"""A relay that has not said what it trusts for this long is not there."""
FRESH = timedelta(minutes=1)
REMOVED_SHOWN = timedelta(days=365)
SWEEP_SECONDS = 120.0
MOST_STEPS = 4


@dataclass(frozen=True, slots=True)
class Picture:
    """How far the rotation has come."""

    trust: Trust
    rows: tuple[Row, ...]
    relays: tuple[Row, ...]
    facts: Facts
    decision: Decision

    @property
    def newest(self) -> str:
        """The generation that is to be trusted by everyone: the prepared one, else the issuing."""
        prepared = self.facts.one(CaState.PREPARED)
        return prepared.id if prepared else self.trust.issuing.id


async def sweep(cp: ControlPlane) -> int:
    """Take every step that is due; their number. Raises Unavailable."""
    taken = 0
    await _prepare_if_due(cp)
    # Counting a million clusters every minute is only for a rotation that is under way.
    for _ in range(MOST_STEPS if _is_under_way(await cp.ca.trust()) else 0):
        picture = await look(cp)
        if not picture.decision.steps:
            break
        for step in picture.decision.steps:
            taken += await _take(cp, step)
    async with cp.db.platform() as tx:
        await tx.execute(_Q.forget_silent_relays, before=cp.clock() - timedelta(hours=1))
    await timers.note_run(cp, "certificate_sweep")
    return taken


async def look(cp: ControlPlane) -> Picture:
    """Read all that a decision needs. The counts are those of one moment each, not of one for all:
    what they may miss is only ever something that makes the next step wait."""
    trust = await cp.ca.trust()
    now = cp.clock()
    async with cp.db.platform(seconds=SWEEP_SECONDS) as tx:
        rows = await tx.all(_Q.list, now=now, removed_after=now - REMOVED_SHOWN)
        relays = await tx.all(_Q.relays, since=now - RELAY_SILENT)
        holders = await _holders(tx, trust, rows, now)
        tokens = await _tokens(tx, rows, now)
    facts = Facts(
        generations=tuple(_standing(row, relays, tokens) for row in rows if _is_trusted(row)),
        relays={row["relay_id"]: frozenset(row["trusts"]) for row in relays},
        holders=holders,
        foreign_tokens=sum(tokens.get(each, 0) for each in _foreign(rows)),
    )
    return Picture(trust, tuple(rows), tuple(relays), facts, decide(facts, now))


async def add_prepared(cp: ControlPlane, tx: Transaction, offer: Any, by: Caller | None) -> bool:
    """Store a generation as prepared; False when one is prepared or it is known already."""
    added = await tx.one(
        _Q.prepare,
        **columns(offer),
        actor=by.actor if by else "system:certificate_sweep",
        audit_tenant=by.tenant if by else None,
        now=cp.clock(),
    )
    if added is not None:
        _log.info("ca generation prepared", generation=offer.id)
    return added is not None


async def _prepare_if_due(cp: ControlPlane) -> None:
    trust = await cp.ca.trust()
    issuing = trust.issuing
    left = issuing.authority.issuing.not_valid_after_utc - cp.clock()
    newer = any(each.state is CaState.PREPARED for each in trust.generations)
    if left > PREPARE_LEFT or newer or issuing.serves_since is None:
        return
    async with timers.alone(cp, "certificate_sweep.prepare") as tx:
        if tx is None:
            return
        offer = cp.ca.keyring.make()
        if offer is None:
            _log.warning("the CA must be rotated", generation=issuing.id, days_left=left.days)
            return
        await add_prepared(cp, tx, offer, None)


def _is_under_way(trust: Trust) -> bool:
    return len(trust.generations) > 1 or trust.issuing.serves_since is None


async def _take(cp: ControlPlane, step: Step) -> int:
    """Take a step unless it is taken already; 1 when it was."""
    now = cp.clock()
    async with cp.db.platform() as tx:
        if step.move is Move.ACTIVATE:
            # Without it an abort in between would leave no generation that issues.
            if await tx.one(_Q.claim_prepared, generation_id=step.generation) is None:
                return 0
            await tx.execute(_Q.retire_issuing, generation_id=step.generation, now=now)
            row = await tx.one(_Q.activate, generation_id=step.generation, now=now)
        elif step.move is Move.SERVE:
            row = await tx.one(_Q.serve, generation_id=step.generation, now=now)
        else:
            row = await tx.one(_Q.remove, generation_id=step.generation, now=now)
        if row is None:
            return 0
        if row["audit_tenant"] is not None:
            caller = Caller.system("certificate_sweep", row["audit_tenant"])
            await audit.append(tx, caller, f"ca.{step.move}", f"ca/{step.generation}")
        failpoints.hit("ca.before_commit")
    failpoints.hit("ca.after_commit")
    _log.info("ca rotation step taken", step=step.move, generation=step.generation)
    return 1


async def _holders(tx: Transaction, trust: Trust, rows: list[Row], now: datetime) -> Holders:
    newest = next((row for row in rows if row["state"] == CaState.PREPARED), None)
    prepared = newest is not None
    if newest is None:
        newest = next(row for row in rows if row["state"] == CaState.ISSUING)
    counted = await tx.one(
        _Q.holders,
        digest=trust.digest,
        newest=newest["generation_id"],
        prepared_at=newest["prepared_at"],
        fresh_after=now - FRESH,
        now=now,
    )
    if counted is None:
        raise AssertionError("an aggregate returns its row")
    # Before the relays present the new generation nobody may be left over, however fresh.
    fresh = 0 if prepared else counted["pending_fresh"]
    return Holders(
        acknowledged=counted["acknowledged"],
        pending_connected=counted["pending_connected"] + fresh,
        pending_offline=counted["pending_offline"],
    )


async def _tokens(tx: Transaction, rows: list[Row], now: datetime) -> dict[str, int]:
    """Generation -> the number of bootstrap tokens that can still be used and show its root."""
    known = [row["generation_id"] for row in rows if _is_trusted(row)]
    counted = await tx.all(
        _Q.count_tokens,
        generations=known,
        now=now,
        used_after=now - REGISTER_REPEAT_WINDOW,
        asked_after=now - APPROVAL_WINDOW,
    )
    return {row["ca"]: row["tokens"] for row in counted}


def _standing(row: Row, relays: list[Row], tokens: dict[str, int]) -> Standing:
    own = row["generation_id"]
    needed = {
        "good certificates are of it": row["certificates"],
        "bootstrap tokens show its root": tokens.get(own, 0),
        "relays present certificates of it": sum(relay["serves"] == own for relay in relays),
    }
    return Standing(
        id=own,
        state=CaState(row["state"]),
        not_after=row["not_after"],
        serves=row["serves_since"] is not None,
        overridden=row["overridden_by"] is not None,
        retiring_at=row["retiring_at"],
        dependents=tuple(f"{count} {what}" for what, count in needed.items() if count),
    )


def _foreign(rows: list[Row]) -> list[str]:
    """The generations whose root is not the issuing one's."""
    pin = next(row["pin"] for row in rows if row["state"] == CaState.ISSUING)
    return [row["generation_id"] for row in rows if _is_trusted(row) and row["pin"] != pin]


def _is_trusted(row: Row) -> bool:
    return bool(row["state"] != CaState.REMOVED)
