"""The targets of a rollout, each with what it waits for at the moment it is read."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.contract.page import Page
from shared.contract.rollout import RolloutTarget
from shared.contract.states import TargetState
from shared.planner.target_waiting import target_waiting_for
from shared.planner.view import RolloutView
from shared.services import cursors
from shared.services.caller import Caller
from shared.services.dependency_gate import dependency_gate
from shared.services.hot_path import HotPath
from shared.services.rollout_view import outline
from shared.services.rollouts import unknown
from shared.services.view_rows import target_view
from shared.store.queries import load
from shared.store.transaction import Row

_Q = load("rollouts")
_E = load("pacer")


async def list_targets(
    cp: HotPath,
    caller: Caller,
    rollout_id: UUID,
    *,
    state: TargetState | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[RolloutTarget]:
    """A rollout's targets in release order. Raises NotFound."""
    size = cursors.page_size(limit)
    after = cursors.decode_one(cursor, int)
    async with cp.db.tenant(caller.tenant) as tx:
        now = cp.clock()
        found = await tx.one(_E.read_rollout, tenant=caller.tenant, rollout=rollout_id)
        if found is None:
            raise unknown(rollout_id)
        view = await outline(tx, caller.tenant, found, now)
        gate = await dependency_gate(tx, caller.tenant, found)
        rows = await tx.all(
            _Q.targets_of,
            tenant=caller.tenant,
            rollout=rollout_id,
            extension=found["extension"],
            gated=not gate.is_open and not view.state.is_over,
            needed=list(gate.needed),
            coming=list(gate.coming),
            state=state.value if state else None,
            after=-1 if after is None else after,
            limit=size + 1,
        )
    return cursors.page(
        Page[RolloutTarget],
        rows,
        size,
        lambda row: _target(view, row, now),
        lambda row: cursors.encode(row["position"]),
    )


def _target(view: RolloutView, row: Row, now: datetime) -> RolloutTarget:
    return RolloutTarget(
        cluster_id=row["cluster_id"],
        cluster=row["cluster"],
        stage=view.stages[row["stage"]].name,
        position=row["position"],
        state=row["state"],
        skip_reason=row["skip_reason"],
        revision=row["revision"],
        previous_revision=row["previous_revision"],
        reason=row["reason"],
        message=row["message"],
        reverted=row["reverted"],
        waiting_for=target_waiting_for(view, target_view(row), now),
        released_at=row["released_at"],
        ready_since=row["ready_since"],
        finished_at=row["finished_at"],
    )
