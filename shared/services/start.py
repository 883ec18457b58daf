"""How every rollout begins: what runs is superseded, then stages and targets are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.states import RolloutKind
from shared.contract.strategy import RolloutStrategy
from shared.domain.goals import Goal
from shared.domain.resolve import Resolved
from shared.services import audit
from shared.services.caller import Caller
from shared.services.ids import new_id
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Transaction
from shared.telemetry.tracing import traceparent

_Q = load("rollouts")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRollout:
    """A rollout to start."""

    extension: str
    kind: RolloutKind
    revision: int | None
    strategy: RolloutStrategy
    targets: Sequence[Goal]
    specs: Mapping[str, Resolved] = field(default_factory=dict)
    reason: str | None = None
    rollback_of: UUID | None = None
    retry_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The new rollout, and those that gave way to it."""

    rollout_id: UUID
    superseded: tuple[UUID, ...] = ()


async def start(tx: Transaction, caller: Caller, new: NewRollout, now: datetime) -> Started:
    """Write the rollout. The caller of this holds the extension's row, or the rollout's before it.

    A forward rollout supersedes the one that runs; a rollback takes nothing over: it runs beside
    one, which waits for it.
    """
    rollout_id = new_id()
    common = {"tenant": caller.tenant, "rollout": rollout_id, "now": now}
    superseded: tuple[UUID, ...] = ()
    if new.kind is not RolloutKind.ROLLBACK:
        superseded = await _supersede(tx, caller, new, common)
    await _insert_specs(tx, caller.tenant, new.specs)
    await tx.execute(
        _Q.insert_rollout,
        **common,
        extension=new.extension,
        kind=new.kind.value,
        revision=new.revision,
        strategy=jsonb(new.strategy.to_wire()),
        reason=new.reason,
        created_by=caller.actor,
        rollback_of=new.rollback_of,
        retry_of=new.retry_of,
        traceparent=traceparent() or caller.traceparent,
    )
    await _insert_stages(tx, caller.tenant, rollout_id, new)
    await _insert_targets(tx, caller.tenant, rollout_id, new.targets)
    return Started(rollout_id, superseded)


async def _supersede(
    tx: Transaction, caller: Caller, new: NewRollout, common: Mapping[str, object]
) -> tuple[UUID, ...]:
    rows = await tx.all(_Q.supersede, **common, extension=new.extension)
    superseded = tuple(row["rollout_id"] for row in rows)
    if superseded:
        await tx.execute(_Q.say_superseded, tenant=caller.tenant, rollouts=list(superseded))
        await audit.append_all(
            tx,
            caller,
            [
                audit.Entry(
                    action="rollout.supersede",
                    subject=f"rollout/{old}",
                    reason=ReasonCode.ROLLOUT_SUPERSEDED,
                    message=f"superseded by rollout {common['rollout']}: targets in flight keep "
                    "what they have until it reaches them",
                )
                for old in superseded
            ],
        )
    return superseded


async def _insert_specs(tx: Transaction, tenant: str, specs: Mapping[str, Resolved]) -> None:
    if specs:
        await tx.execute(
            _Q.insert_resolved,
            tenant=tenant,
            digests=list(specs),
            specs=[jsonb(resolved.canonical) for resolved in specs.values()],
        )


async def _insert_stages(tx: Transaction, tenant: str, rollout_id: UUID, new: NewRollout) -> None:
    totals = Counter(goal.stage for goal in new.targets)
    names = [stage.name for stage in new.strategy.stages]
    await tx.execute(
        _Q.insert_stages,
        tenant=tenant,
        rollout=rollout_id,
        stages=list(range(len(names))),
        names=names,
        totals=[totals[number] for number in range(len(names))],
    )


async def _insert_targets(
    tx: Transaction, tenant: str, rollout_id: UUID, targets: Sequence[Goal]
) -> None:
    if targets:
        await tx.execute(
            _Q.insert_targets,
            tenant=tenant,
            rollout=rollout_id,
            clusters=[goal.cluster_id for goal in targets],
            stages=[goal.stage for goal in targets],
            positions=[goal.position for goal in targets],
            revisions=[goal.revision for goal in targets],
            digests=[goal.digest for goal in targets],
            absents=[goal.absent for goal in targets],
            previous=[goal.previous for goal in targets],
        )
