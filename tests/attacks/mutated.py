"""Attacks by requests that nobody thought of: a slice of `make mutations`."""

from __future__ import annotations

from tests.attacks.attack import held, row
from tests.attacks.target import Target
from tests.mutations import played

SEED = 20_260_101
REQUESTS = 400
GROWTH_BYTES = 48 * 1024 * 1024


@row(
    "any request",
    f"{REQUESTS:,} seeded mutations of valid requests, over every route",
    expected="no 5xx; memory stays",
    alone=True,
)
async def mutations(target: Target) -> str:
    found = await played.play(target, seed=SEED, count=REQUESTS)
    held(found.sent == REQUESTS, found.told())
    held(not found.failures, f"{found.told()}; {found.failures[:5]}")
    held(found.end_bytes - found.warm_bytes < GROWTH_BYTES, found.told())
    return found.told()
