"""What a rollout's targets have to wait for on their own clusters, as statements ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from shared.contract.states import RolloutKind
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("pacer")


@dataclass(frozen=True, slots=True)
class DependencyGate:
    """What the rollout's targets have to wait for on their own clusters."""

    needed: tuple[str, ...] = ()
    """The extensions that its revision depends on."""
    coming: tuple[UUID, ...] = ()
    """Rollouts of those that have to reach a cluster first."""
    is_needed: bool = False
    """Some revision of another extension depends on this one."""

    @property
    def is_open(self) -> bool:
        """True when no target can have anything to wait for."""
        return not self.needed and not self.is_needed


async def dependency_gate(tx: Transaction, tenant: str, row: Row) -> DependencyGate:
    """The gate of a rollout by its row; a rollback has none: it must always get through."""
    if RolloutKind(row["kind"]) is RolloutKind.ROLLBACK:
        return DependencyGate()
    needed = tuple(row["depends_on"])
    coming: tuple[UUID, ...] = ()
    if needed:
        found = await tx.all(
            _Q.coming, tenant=tenant, needed=list(needed), rollout=row["rollout_id"]
        )
        coming = tuple(each["rollout_id"] for each in found)
    return DependencyGate(needed, coming, row["is_needed"])
