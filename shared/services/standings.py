"""Where the fleet stands with an extension, as goals are made from."""

from __future__ import annotations

from shared.domain.goals import Standing
from shared.domain.stages import Member
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("publish")


def standing(row: Row) -> Standing:
    """One cluster of `standings` or `standings_of`."""
    member = Member(row["cluster_id"], row["name"], row["labels"], row["reachable"])
    return Standing(member, row["revision"], row["digest"])


async def standings(tx: Transaction, tenant: str, extension: str) -> list[Standing]:
    """Every cluster of the tenant that may run extensions."""
    rows = await tx.all(_Q.standings, tenant=tenant, extension=extension)
    return [standing(row) for row in rows]
