"""Have rollouts looked at now, because something about them was just stored.

Many reports of one rollout arrive at once. In each process one look is under way per rollout, and
what arrives meanwhile asks it for one more; so a thousand reports cost a few looks, and none is
forgotten: whoever looks last began after the last report was stored. Whoever looks is a request
that somebody waits for: when others keep asking for more, the pacer's next tick goes on instead.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

from shared.domain.errors import ArcBridgeError
from shared.services import pacer
from shared.services.hot_path import HotPath
from shared.store.database import Database
from shared.store.queries import load

_log = logging.getLogger(__name__)

LOOKS: Final = 4
"""That one request makes for the others."""

_Q = load("pacer")
_looking: WeakKeyDictionary[Database, dict[tuple[str, UUID], bool]] = WeakKeyDictionary()
"""Rollouts that are being looked at in this process; True: once more after that."""


async def nudge(cp: HotPath, tenant: str, rollout_ids: Iterable[UUID]) -> None:
    """Look at these rollouts now. Never fails: what it could not do, the next tick does."""
    for rollout_id in sorted(set(rollout_ids)):
        await _one(cp, tenant, rollout_id)


async def _one(cp: HotPath, tenant: str, rollout_id: UUID) -> None:
    looking = _looking.setdefault(cp.db, {})
    key = (tenant, rollout_id)
    if key in looking:
        looking[key] = True
        return
    try:
        for _ in range(LOOKS):
            looking[key] = False
            await pacer.tick_rollout(cp, tenant, rollout_id)
            if not looking[key]:
                return
        async with cp.db.tenant(tenant) as tx:
            await tx.execute(_Q.look_soon, tenant=tenant, rollout=rollout_id, now=cp.clock())
    except ArcBridgeError as error:
        _log.warning(
            "pacer.nudge_failed",
            extra={"rollout": str(rollout_id), "code": error.code, "detail": error.detail},
        )
    except Exception:  # what was stored is stored: whoever did that is not told of our defect
        _log.exception("pacer.nudge_failed", extra={"rollout": str(rollout_id)})
    finally:
        looking.pop(key, None)
