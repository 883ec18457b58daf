"""Begin a rollback: the same act for a failed rollout and for an operator's one click."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind
from shared.contract.strategy import RolloutStrategy
from shared.contract.wording import plural
from shared.domain.way_back import Affected, goals_back, way_back
from shared.services import audit
from shared.services.caller import Caller
from shared.services.start import NewRollout, Started, start
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("rollback")


@dataclass(frozen=True, slots=True)
class Forward:
    """The rollout whose doing is undone."""

    rollout_id: UUID
    kind: RolloutKind
    revision: int
    strategy: RolloutStrategy

    @classmethod
    def of(cls, row: Row) -> Forward:
        """From a row of rollouts."""
        return cls(
            row["rollout_id"],
            RolloutKind(row["kind"]),
            row["revision"],
            RolloutStrategy.model_validate(row["strategy"]),
        )


async def quarantine(
    tx: Transaction, caller: Caller, extension: str, number: int, why: str
) -> bool:
    """Quarantine a revision: it is released nowhere until an operator lifts that."""
    changed = await tx.execute(
        _Q.quarantine, tenant=caller.tenant, extension=extension, number=number, reason=why
    )
    if changed:
        await audit.append(
            tx,
            caller,
            "revision.quarantine",
            f"extension/{extension}",
            reason=ReasonCode.SPEC_QUARANTINED,
            message=f"revision {number} is quarantined: {why}",
            data={"revision": number},
        )
    return bool(changed)


async def take_back(
    tx: Transaction, caller: Caller, extension: str, forward: Forward, why: str, now: datetime
) -> Started:
    """Start the rollback of `forward`, which is RollingBack from now on if it was not over.

    Every cluster that has its revision goes to its own last known good one or to absent. A
    placement's rollback is narrower: only what that rollout brought is undone.
    """
    query = _Q.goals_from_revision
    if forward.kind is RolloutKind.PLACEMENT:
        query = _Q.goals_from_rollout
    rows = await tx.all(
        query,
        tenant=caller.tenant,
        extension=extension,
        rolled_back=forward.rollout_id,
        **({} if forward.kind is RolloutKind.PLACEMENT else {"revision": forward.revision}),
    )
    new = NewRollout(
        extension=extension,
        kind=RolloutKind.ROLLBACK,
        revision=None,
        strategy=way_back(forward.strategy),
        targets=goals_back(forward.strategy, [_affected(row) for row in rows]),
        reason=why,
        rollback_of=forward.rollout_id,
    )
    started = await start(tx, caller, new, now)
    await tx.execute(
        _Q.begin_rolling_back,
        tenant=caller.tenant,
        waiting_for=jsonb(waits_for_rollback(started, len(rows), now).to_wire()),
        rollback=started.rollout_id,
        rolled_back=forward.rollout_id,
    )
    await audit.append(
        tx,
        caller,
        "rollout.rollback",
        f"rollout/{forward.rollout_id}",
        message=f"{why}; rollout {started.rollout_id} takes {plural(len(rows), 'cluster')} back",
        data={"extension": extension, "rollback": str(started.rollout_id), "targets": len(rows)},
    )
    return started


def waits_for_rollback(started: Started, targets: int, now: datetime) -> WaitingFor:
    """What the rollout that is taken back waits for."""
    return WaitingFor(
        reason=ReasonCode.ROLLING_BACK,
        message=f"rollback {started.rollout_id} takes {plural(targets, 'cluster')} back",
        since=now,
        ends_when="that rollback ends",
    )


def _affected(row: Row) -> Affected:
    return Affected(
        cluster_id=row["cluster_id"],
        cluster=row["name"],
        previous=row["previous"],
        held=row["held"],
        stage=row["stage"],
        position=row["position"],
        revision=row["revision"],
        digest=row["spec_digest"],
    )
