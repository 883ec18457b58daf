"""Rates in one process: the generic cell rate algorithm (ITU-T I.371) over a bounded set of keys.

Only what protects this process is limited here; limits that must hold over all replicas are the
control plane's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Rate:
    """One bucket: `per_second` on average, `burst` at once."""

    __slots__ = ("_earliest", "_interval", "_tolerance")

    def __init__(self, per_second: float, burst: int) -> None:
        self._interval = 1 / per_second
        self._tolerance = self._interval * (burst - 1)
        self._earliest = 0.0

    def take(self, now: float) -> float:
        """Take one token and return 0, or take none and return the seconds until there is one."""
        arrival = max(self._earliest, now)
        wait = arrival - self._tolerance - now
        if wait > 0:
            return wait
        self._earliest = arrival + self._interval
        return 0.0

    def is_full(self, now: float) -> bool:
        """True when it has forgotten everything: a new one would behave the same."""
        return self._earliest <= now


class Rates(Generic[K]):
    """A bucket for each key. Over `most` keys the one that was used longest ago is forgotten."""

    def __init__(self, per_second: float, burst: int, *, most: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._most = most
        self._rates: OrderedDict[K, Rate] = OrderedDict()

    def take(self, key: K, now: float) -> float:
        """As `Rate.take`, for one key."""
        rate = self._rates.get(key)
        if rate is None:
            rate = self._rates[key] = Rate(self._per_second, self._burst)
        self._rates.move_to_end(key)
        while len(self._rates) > self._most or next(iter(self._rates.values())).is_full(now):
            if len(self._rates) == 1:
                break
            self._rates.popitem(last=False)
        return rate.take(now)

    def __len__(self) -> int:
        return len(self._rates)
