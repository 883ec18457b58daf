"""Rollouts for clusters whose place under an extension has to be looked at again.

Takes the clusters that wait, can be reached, and whose extension has nothing else under way, and
starts one rollout for all of them: of the newest Good revision, or of the newest candidate where
none is proven yet.
"""

from __future__ import annotations

import logging
from typing import Final

from shared.contract.extension import ExtensionSpec
from shared.contract.states import RolloutKind
from shared.contract.wording import plural
from shared.domain.goals import Goals, goals
from shared.services import audit, pace
from shared.services.apart import Apart
from shared.services.caller import Caller
from shared.services.failpoints import hit
from shared.services.hot_path import HotPath
from shared.services.standings import standing
from shared.services.start import NewRollout, start
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("placement")
_P = load("publish")
_log = logging.getLogger(__name__)

EXTENSIONS: Final = 50
CLUSTERS: Final = 10_000


async def run(cp: HotPath) -> int:
    """Start the rollouts that are due; their number. Bounded, and safe to run twice at once."""
    async with cp.db.platform() as tx:
        waiting = await tx.all(_Q.waiting_extensions, now=cp.clock(), limit=EXTENSIONS)
    started, apart = 0, Apart(_log)
    for row in waiting:
        tenant, extension = row["tenant_id"], row["extension"]
        with apart.piece("catch_up", tenant=tenant, extension=extension):
            started += await _extension(cp, tenant, extension)
    apart.raise_failures()
    return started


async def _extension(cp: HotPath, tenant: str, extension: str) -> bool:
    caller = Caller.system("rollout_pacer", tenant)
    async with cp.db.tenant(tenant) as tx:
        row = await tx.one(_P.lock_extension, tenant=tenant, extension=extension)
        now = cp.clock()
        if row is None or await _is_busy(tx, tenant, extension):
            return False
        taken = await tx.all(
            _Q.take_waiting, tenant=tenant, extension=extension, now=now, limit=CLUSTERS
        )
        revision = await tx.one(_P.current_revision, tenant=tenant, extension=extension)
        if not taken or revision is None:
            return False
        spec = ExtensionSpec.model_validate(revision["spec"])
        found = await _goals(tx, tenant, row, revision, spec, [t["cluster_id"] for t in taken])
        if not found.targets:
            return False
        new = NewRollout(
            extension=extension,
            kind=RolloutKind.PLACEMENT,
            revision=revision["number"],
            strategy=spec.rollout,
            targets=found.targets,
            specs=found.specs,
            reason="clusters joined, left, changed their labels or came back",
        )
        started = await start(tx, caller, new, now)
        await audit.append(
            tx,
            caller,
            "rollout.create",
            f"rollout/{started.rollout_id}",
            message=f"new places under {extension} for {plural(len(found.targets), 'cluster')}",
            data={"extension": extension, "revision": revision["number"]},
        )
        hit("catch_up.before_commit")
    hit("catch_up.after_commit")
    await pace.fill(cp, tenant, started.rollout_id, spec.rollout)
    return True


async def _is_busy(tx: Transaction, tenant: str, extension: str) -> bool:
    active = await tx.all(load("rollouts").active_of, tenant=tenant, extension=extension)
    return bool(active)


async def _goals(
    tx: Transaction,
    tenant: str,
    extension: Row,
    revision: Row,
    spec: ExtensionSpec,
    clusters: list[object],
) -> Goals:
    rows = await tx.all(
        _P.standings_of,
        tenant=tenant,
        extension=extension["name"],
        needed=list(spec.depends_on),
        clusters=clusters,
    )
    return goals(
        spec,
        revision["number"],
        [standing(row) for row in rows],
        only_changed=True,
        removing=extension["deleting"] or extension["deleted_at"] is not None,
    )
