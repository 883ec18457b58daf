"""Warns whoever publishes what depends on an extension that is not there and nothing brings.

It is no error: the dependency may be declared next, or come to a cluster with a label. Until then
the targets wait, outside every budget and deadline, so the person who can change it has to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from shared.contract.errors import FieldError
from shared.contract.wording import plural
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("publish")

NAMED: Final = 3
"""Clusters that a warning gives by name."""


async def dependency_gaps(
    tx: Transaction, tenant: str, needed: Sequence[str], clusters: Sequence[UUID]
) -> tuple[FieldError, ...]:
    """A warning for each dependency that some of the clusters have not and no rollout brings."""
    if not needed or not clusters:
        return ()
    rows = await tx.all(
        _Q.dependency_gaps,
        tenant=tenant,
        needed=list(needed),
        clusters=list(clusters),
        named=NAMED,
    )
    return tuple(_warning(row, len(clusters)) for row in rows)


def _warning(row: Row, targets: int) -> FieldError:
    name, without = row["name"], row["without"]
    if not row["declared"]:
        return FieldError(
            field="spec.dependsOn",
            message=f"no extension {name} is declared: {plural(without, 'cluster')} would wait for "
            "it without an end",
            remedy=f"declare {name}, or leave it out of dependsOn",
        )
    named = ", ".join(row["clusters"]) + (", and others" if without > len(row["clusters"]) else "")
    return FieldError(
        field="spec.dependsOn",
        message=f"{name} is not on {without} of {plural(targets, 'cluster')} ({named}), and no "
        "rollout brings it there: they wait for it without an end",
        remedy=f"place {name} there too, or place this extension where {name} is",
    )
