"""How long applying an extension takes, as a timeline has to take it: from what was recorded."""

from __future__ import annotations

from typing import Final

from shared.contract.plan import PredictedTimes, TimesSource
from shared.contract.strategy import RolloutStrategy
from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("plan")

ASSUMED_P50_SECONDS: Final = 60.0
ASSUMED_P95_SECONDS: Final = 180.0
ENOUGH: Final = 5
"""Recorded applies that a prediction needs."""


async def predicted(
    tx: Transaction, tenant: str, name: str, strategy: RolloutStrategy
) -> PredictedTimes:
    """From the extension's history, else from the tenant's, else assumed."""
    for extension, source in ((name, TimesSource.EXTENSION), (None, TimesSource.TENANT)):
        row = await tx.one(_Q.apply_times, tenant=tenant, extension=extension)
        if row is not None and row["samples"] >= ENOUGH:
            return PredictedTimes(
                p50_seconds=round(row["p50"], 3),
                p95_seconds=round(row["p95"], 3),
                source=source,
                samples=row["samples"],
            )
    return assumed(strategy)


def assumed(strategy: RolloutStrategy) -> PredictedTimes:
    """Where nothing was applied yet: a guess within the deadline, which whoever declared it thinks
    enough. A guess beyond it would foretell a failure that nothing speaks for."""
    deadline = strategy.progress_deadline.total_seconds()
    return PredictedTimes(
        p50_seconds=min(ASSUMED_P50_SECONDS, deadline / 4),
        p95_seconds=min(ASSUMED_P95_SECONDS, deadline * 3 / 4),
        source=TimesSource.DEFAULT,
        samples=0,
    )
