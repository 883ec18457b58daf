"""Clusters that come under an extension's placement, leave it, or come back to it.

What changes a cluster only notes that it has to be looked at again; a pacer looks, once nothing
else runs for the extension, and makes one rollout for all that wait. So a thousand registrations
make a few rollouts, each staged and paced like any other.
"""

from __future__ import annotations

from uuid import UUID

from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("placement")


async def reconsider(tx: Transaction, tenant: str, cluster_id: UUID) -> None:
    """Have every extension look at this cluster again: it is new, or its labels changed."""
    await tx.execute(_Q.mark_cluster, tenant=tenant, cluster=cluster_id)


async def forget(tx: Transaction, tenant: str, cluster_id: UUID) -> None:
    """The cluster is deregistered: running rollouts skip it, and no new one is made for it."""
    await tx.execute(_Q.drop_cluster, tenant=tenant, cluster=cluster_id)
