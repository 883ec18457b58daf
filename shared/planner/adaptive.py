"""How fast an adaptive rollout may go: additive increase, multiplicative decrease, by evidence.

The rate starts as declared. A bad sign halves it, down to the floor; a span of time that brought
successes and no bad sign raises it by a tenth of what is declared. Signs are looked for in this
order: targets that failed, artifacts that cannot be had, targets that take much longer than the
rollout's own best, and a control plane that is late itself. Without news the rate stays: silence is
no evidence. Chiu and Jain (1989) show why increases add and decreases multiply.

Pure. What was seen is folded into `Pacing`, which is kept with the rollout, so a restart anywhere
forgets nothing; the tokens themselves are the buckets' business (`shared.pacing`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.states import TargetState
from shared.contract.strategy import Pace
from shared.contract.wording import plural
from shared.planner.decisions import MoveTarget, SetPace
from shared.planner.pacing import Pacing, Pressure
from shared.planner.view import TargetView

DECREASE: Final = 0.5
INCREASE: Final = 0.1
"""Of the declared rate, for each span without a bad sign."""
FAILED_SHARE: Final = 0.05
"""More failures than this among the targets that ended are a bad sign."""
STARVED_SHARE: Final = 0.1
STARVED_LEAST: Final = 2
"""More targets in flight than this share, and this many, without their artifact are a bad sign;
a single one is the business of its own cluster."""
SAMPLES: Final = 30
ENOUGH_SAMPLES: Final = 10
LAG_SECONDS: Final = 15.0
"""Three runs of the pacer's timer."""


def learn(
    pacing: Pacing, moves: Sequence[MoveTarget], targets: Mapping[UUID, TargetView]
) -> Pacing:
    """Fold in what became of targets. Skipped ones say nothing."""
    failed = sum(move.becomes.is_failure for move in moves)
    times = [
        (move.ready_since - released).total_seconds()
        for move in moves
        if move.becomes in (TargetState.VERIFYING, TargetState.SUCCEEDED)
        and move.was is not TargetState.VERIFYING
        and move.ready_since is not None
        and (released := targets[move.cluster_id].released_at) is not None
    ]
    seconds = (*pacing.seconds, *(max(0.0, time) for time in times))[-SAMPLES:]
    return replace(
        pacing,
        ended=pacing.ended + failed + len(times),
        failed=pacing.failed + failed,
        seconds=seconds,
        baseline=_baseline(pacing.baseline, seconds),
    )


def judge_pace(
    pacing: Pacing, pace: Pace, pressure: Pressure, now: datetime
) -> tuple[Pacing, SetPace | None]:
    """The pacing from now on, and the change of rate where there is one."""
    sign = _bad_sign(pacing, pressure)
    if sign is not None:
        return _lower(pacing, pace, sign, now)
    if now < pacing.judged_at + pacing.span or pacing.ended == pacing.failed:
        return pacing, None
    return _raise(pacing, pace, now)


def _lower(
    pacing: Pacing, pace: Pace, sign: tuple[ReasonCode, str], now: datetime
) -> tuple[Pacing, SetPace | None]:
    """Halve the rate; after a lowering only once that one could show."""
    lowered_before = pacing.reason not in (None, ReasonCode.PACE_RAISED)
    if lowered_before and now < pacing.since + pacing.span:
        return pacing, None
    rate = max(pace.floor, pacing.per_minute * DECREASE)
    return _change(pacing, rate, *sign, now)


def _raise(pacing: Pacing, pace: Pace, now: datetime) -> tuple[Pacing, SetPace | None]:
    rate = min(pace.per_minute, pacing.per_minute + pace.per_minute * INCREASE)
    good = (
        f"{pacing.ended - pacing.failed} of {plural(pacing.ended, 'target')} became ready in time"
    )
    return _change(pacing, rate, ReasonCode.PACE_RAISED, good, now)


def _change(
    pacing: Pacing, rate: float, reason: ReasonCode, why: str, now: datetime
) -> tuple[Pacing, SetPace | None]:
    """A new span begins; times at another rate are not compared with those before it."""
    fresh = replace(pacing, judged_at=now, ended=0, failed=0)
    if rate == pacing.per_minute:
        return fresh, None
    message = f"from {pacing.per_minute:g} to {rate:g} a minute: {why}"
    changed = replace(fresh, per_minute=rate, since=now, reason=reason, message=message, seconds=())
    return changed, SetPace(was=pacing.per_minute, per_minute=rate, reason=reason, message=message)


def _bad_sign(pacing: Pacing, pressure: Pressure) -> tuple[ReasonCode, str] | None:
    if pacing.failed > pacing.ended * FAILED_SHARE:
        return (
            ReasonCode.SLOWED_BY_FAILURES,
            f"{pacing.failed} of {plural(pacing.ended, 'target')} failed",
        )
    starved = pressure.without_artifact
    if starved >= STARVED_LEAST and starved > pressure.in_flight * STARVED_SHARE:
        return (
            ReasonCode.SLOWED_BY_SOURCE,
            f"{starved} of {pressure.in_flight} targets in flight cannot get their artifact",
        )
    slow = _slowness(pacing, pressure)
    if slow is not None:
        return ReasonCode.SLOWED_BY_APPLY_TIME, slow
    if pressure.lag_seconds > LAG_SECONDS:
        return (
            ReasonCode.SLOWED_BY_LAG,
            f"the control plane is {pressure.lag_seconds:.0f} s late",
        )
    return None


def _slowness(pacing: Pacing, pressure: Pressure) -> str | None:
    """A target that is still not ready counts with its age: it can only get slower."""
    limit = pacing.slow_seconds
    times = (*pacing.seconds, *pressure.overdue_seconds)
    if limit is None or pacing.baseline is None or len(times) < ENOUGH_SAMPLES:
        return None
    most = percentile90(times)
    if most <= limit:
        return None
    return f"nine in ten take {most:.0f} s to become ready, and took {pacing.baseline:.0f} s"


def _baseline(before: float | None, seconds: Sequence[float]) -> float | None:
    if len(seconds) < ENOUGH_SAMPLES:
        return before
    found = percentile90(seconds)
    return found if before is None else min(before, found)


def percentile90(values: Sequence[float]) -> float:
    """The smallest value that nine in ten do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(0.9 * len(values)) - 1]
