"""The gate: who may try to open a stream now, counted for each identity before Postgres is asked.

Protects the process from one agent (or one stolen key) that opens streams without end; the number
of connections is bounded by the transport, the queue for epochs by `admission`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from relay.rates import Rates
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.services.cluster_key import ClusterKey

CONNECTS_PER_SECOND = 0.5
CONNECTS_AT_ONCE = 10
STREAMS_AT_ONCE = 4
"""One that lives, one that replaces it, and two that are on their way out."""
IDENTITIES_REMEMBERED = 100_000
DRAINING_RETRY_SECONDS = 1.0


class Gate:
    """Opens for an identity, or says when to come back."""

    def __init__(self) -> None:
        self.draining = False
        self._rates: Rates[ClusterKey] = Rates(
            CONNECTS_PER_SECOND, CONNECTS_AT_ONCE, most=IDENTITIES_REMEMBERED
        )
        self._open: Counter[ClusterKey] = Counter()

    @contextmanager
    def passing(self, key: ClusterKey, now: float) -> Iterator[None]:
        """One stream of an identity, for the length of the block.

        Raises RateLimited for one too many, Unavailable while the process goes away.
        """
        if self.draining:
            raise ArcBridgeError(
                ErrorCode.UNAVAILABLE,
                "this relay goes away: connect to another",
                retry_after=DRAINING_RETRY_SECONDS,
            )
        if self._open[key] >= STREAMS_AT_ONCE:
            raise ArcBridgeError(
                ErrorCode.RATE_LIMITED,
                "this identity has too many streams open",
                retry_after=1 / CONNECTS_PER_SECOND,
            )
        wait = self._rates.take(key, now)
        if wait:
            raise ArcBridgeError(
                ErrorCode.RATE_LIMITED, "this identity connects too often", retry_after=wait
            )
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
