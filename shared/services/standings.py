"""Where the fleet stands with an extension, as goals are made from."""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.goals import Standing
from shared.domain.stages import Member
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("publish")


def standing(row: Row) -> Standing:
    """One cluster of `standings` or `standings_of`."""
    member = Member(row["cluster_id"], row["name"], row["labels"], row["reachable"], row["is_held"])
    return Standing(member, row["revision"], row["digest"])


async def standings(
    tx: Transaction, tenant: str, extension: str, needed: Sequence[str]
) -> list[Standing]:
    """Every cluster of the tenant that may run extensions; `needed` is what this one depends on."""
    rows = await tx.all(_Q.standings, tenant=tenant, extension=extension, needed=list(needed))
    return [standing(row) for row in rows]
