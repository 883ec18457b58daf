"""What chance decides, from a seed: a number for each name, whatever the order of asking.

A hash, not a generator: one more cluster in the fleet changes nothing for the others.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from statistics import NormalDist
from typing import Final

from shared.planner.limits import count_of

_NORMAL: Final = NormalDist()
_Z95: Final = _NORMAL.inv_cdf(0.95)
_SHORTEST: Final = 0.001


@dataclass(frozen=True, slots=True)
class ApplyTimes:
    """How long applying takes, in seconds: the median, and what 19 in 20 do not exceed."""

    p50: float
    p95: float


def draw(seed: int, purpose: str, name: str) -> float:
    """A number between 0 and 1, both excluded, evenly distributed over the names."""
    found = hashlib.sha256(f"{seed}/{purpose}/{name}".encode()).digest()
    return (int.from_bytes(found[:7]) + 0.5) / 2**56


def chosen(seed: int, purpose: str, names: Iterable[str], share: str) -> frozenset[str]:
    """`share` of the names (`3`, or `5%`, rounded up to at least one): those that draw lowest."""
    ordered = sorted(names, key=lambda name: (draw(seed, purpose, name), name))
    return frozenset(ordered[: count_of(share, len(ordered))])


def apply_time(seed: int, name: str, times: ApplyTimes) -> timedelta:
    """Drawn from the log-normal distribution that has these quantiles."""
    middle = max(_SHORTEST, times.p50)
    spread = math.log(max(middle, times.p95) / middle) / _Z95
    normal = _NORMAL.inv_cdf(draw(seed, "apply", name))
    return timedelta(seconds=middle * math.exp(spread * normal))
