"""Adaptive pacing as it is kept with the rollout, and what it goes by, read from the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import RolloutPace
from shared.contract.strategy import Pace, PaceMode
from shared.planner.pacing import Pacing, Pressure, begin
from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("pacer")

_REASONS: Final = {reason.value: reason for reason in ReasonCode}


def restored(pace: Pace, kept: Mapping[str, Any] | None, now: datetime) -> Pacing | None:
    """What the last look kept; None for a fixed pace.

    The rate is kept within the declared bounds whatever stands in the row.
    """
    if pace.mode is PaceMode.FIXED:
        return None
    if kept is None:
        return begin(pace, now)
    return Pacing(
        per_minute=min(pace.per_minute, max(pace.floor, kept["perMinute"])),
        since=datetime.fromisoformat(kept["since"]),
        judged_at=datetime.fromisoformat(kept["judgedAt"]),
        reason=_REASONS.get(kept["reason"]),
        message=kept["message"],
        ended=kept["ended"],
        failed=kept["failed"],
        seconds=tuple(kept["seconds"]),
        baseline=kept["baseline"],
    )


def kept(pacing: Pacing) -> dict[str, Any]:
    """The JSON-ready form that `restored` reads."""
    return {
        "perMinute": pacing.per_minute,
        "since": pacing.since.isoformat(),
        "judgedAt": pacing.judged_at.isoformat(),
        "reason": pacing.reason.value if pacing.reason else None,
        "message": pacing.message,
        "ended": pacing.ended,
        "failed": pacing.failed,
        "seconds": [round(seconds, 3) for seconds in pacing.seconds],
        "baseline": pacing.baseline,
    }


def shown(kept: Mapping[str, Any] | None) -> RolloutPace | None:
    """The rate as operators see it; None for a fixed pace, and before the first look."""
    if kept is None:
        return None
    return RolloutPace(
        per_minute=kept["perMinute"],
        since=kept["since"],
        reason=kept["reason"],
        message=kept["message"],
    )


async def pressure(
    tx: Transaction,
    tenant: str,
    rollout_id: UUID,
    pacing: Pacing,
    due: datetime | None,
    now: datetime,
) -> Pressure:
    """What is seen of targets in flight; `due` is when this look was due."""
    slow = pacing.slow_seconds
    row = await tx.one(
        _Q.pressure,
        tenant=tenant,
        rollout=rollout_id,
        overdue_after=timedelta(seconds=slow) if slow is not None else None,
        now=now,
    )
    if row is None:
        raise AssertionError("an aggregate gives a row")
    since = min((at for at in (due, row["oldest_wakeup"]) if at is not None), default=now)
    return Pressure(
        in_flight=row["in_flight"],
        without_artifact=row["without_artifact"],
        overdue_seconds=tuple(row["overdue"]),
        lag_seconds=max(0.0, (now - since).total_seconds()),
    )
