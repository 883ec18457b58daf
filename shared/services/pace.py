"""The token buckets of a rollout: its own, its tenant's, and its chart registry's."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from shared.contract.states import RolloutKind
from shared.contract.strategy import RolloutStrategy
from shared.domain.errors import ArcBridgeError
from shared.pacing.gcra import Rate
from shared.pacing.redis import RedisTokens
from shared.pacing.source import Bucket, Grant
from shared.services.hot_path import HotPath

TENANT: Final = Rate(per_minute=60_000.0, burst=10_000)
"""Releases of one tenant over all its rollouts, so that none takes the database from the others."""
UNREACHABLE_RETRY_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


def buckets(
    tenant: str,
    rollout_id: UUID,
    kind: RolloutKind,
    strategy: RolloutStrategy,
    *,
    origin: str | None,
    per_minute: float | None = None,
) -> list[Bucket]:
    """Every bucket that a release of this rollout is taken from.

    `origin` is the chart registry of its revision; `per_minute` the rate that an adaptive pace has
    come to. A bucket keeps its tokens over a change of rate, so changing it releases none.
    A rollback mostly pulls what clusters hold already, and must not queue behind the registry.
    """
    pace = strategy.pace
    own = Rate(per_minute or pace.per_minute, pace.burst)
    return [
        Bucket(f"ab:pace:{{{tenant}}}:rollout:{rollout_id}", own),
        *_shared(tenant, strategy, None if kind is RolloutKind.ROLLBACK else origin),
    ]


def buckets_of_corrections(
    tenant: str, extension: str, strategy: RolloutStrategy, origin: str | None
) -> list[Bucket]:
    """Every bucket that the correction of a drift is taken from: those of a rollout at its full
    pace, with the extension's own in the place of the rollout's.
    """
    return [
        Bucket(
            f"ab:pace:{{{tenant}}}:correct:{extension}",
            Rate(strategy.pace.per_minute, strategy.pace.burst),
        ),
        *_shared(tenant, strategy, origin),
    ]


def beside_its_own(
    tenant: str, kind: RolloutKind, strategy: RolloutStrategy, origin: str | None
) -> list[Bucket]:
    """The buckets of a simulated rollout beside its own.

    The tenant's is full mostly, as it is wide; a registry's fills with the rollout.
    """
    found = buckets(tenant, UUID(int=0), kind, strategy, origin=origin)
    return [
        Bucket(bucket.key, bucket.rate, starts_full=bucket.rate == TENANT) for bucket in found[1:]
    ]


def _shared(tenant: str, strategy: RolloutStrategy, origin: str | None) -> list[Bucket]:
    """The tenant's and, where the strategy counts by it, the chart registry's."""
    found = [Bucket(f"ab:pace:{{{tenant}}}:tenant", TENANT)]
    if strategy.pace.per_source is not None and origin:
        name = hashlib.sha256(origin.encode()).hexdigest()[:16]
        per_source = strategy.pace.per_source
        rate = Rate(per_source, max(1, min(strategy.pace.burst, round(per_source))))
        found.append(Bucket(f"ab:pace:{{{tenant}}}:source:{name}", rate))
    return found


async def take(cp: HotPath, wanted_from: Sequence[Bucket], wanted: int) -> Grant:
    """Take tokens; none, and a time to ask again, while Redis cannot be reached."""
    try:
        return await RedisTokens(cp.redis).take(wanted_from, wanted)
    except ArcBridgeError as error:
        _log.warning("pacing.unreachable", extra={"detail": error.detail})
        return Grant(0, error.retry_after or UNREACHABLE_RETRY_SECONDS)


async def fill(cp: HotPath, tenant: str, rollout_id: UUID, strategy: RolloutStrategy) -> None:
    """Give a new rollout its burst. Without Redis it starts empty: slower, never too fast."""
    own = buckets(tenant, rollout_id, RolloutKind.PUBLISH, strategy, origin=None)[0]
    try:
        await RedisTokens(cp.redis).fill(own)
    except ArcBridgeError as error:
        _log.warning("pacing.unreachable", extra={"detail": error.detail})
