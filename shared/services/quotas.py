"""Quotas of a tenant: whether there may be one more.

Counted in the transaction that adds. Two that add at the same moment may pass by one together: a
quota protects the platform, it is no licence count, and a lock per tenant would cost more.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.contract.errors import ErrorCode
from shared.contract.tenant import Quotas
from shared.contract.wording import plural
from shared.domain.errors import ArcBridgeError
from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("tenants")

HOUR = timedelta(hours=1)


async def check_new_cluster(tx: Transaction, tenant: str, now: datetime) -> None:
    """Raises QuotaExceeded when the tenant has as many clusters as it may."""
    quotas, row = await _usage(tx, tenant, now)
    if row["clusters"] >= quotas.clusters:
        raise _exceeded(f"the tenant has {plural(row['clusters'], 'cluster')} of {quotas.clusters}")


async def check_publish(tx: Transaction, tenant: str, now: datetime, *, is_new: bool) -> None:
    """Raises QuotaExceeded for one extension too many, or too many revisions within an hour."""
    quotas, row = await _usage(tx, tenant, now)
    if is_new and row["extensions"] >= quotas.extensions:
        raise _exceeded(f"the tenant may have {plural(quotas.extensions, 'extension')}")
    if row["publishes"] >= quotas.publishes_per_hour:
        raise _exceeded(
            f"the tenant published {plural(row['publishes'], 'revision')} within an hour, of"
            f" {quotas.publishes_per_hour}",
            retry_after=60.0,
        )


async def _usage(tx: Transaction, tenant: str, now: datetime) -> tuple[Quotas, dict[str, int]]:
    row = await tx.one(_Q.usage, tenant=tenant, hour_ago=now - HOUR)
    if row is None:
        raise ArcBridgeError(ErrorCode.FORBIDDEN, "the tenant is unknown here")
    return Quotas.model_validate(row["quotas"]), row


def _exceeded(why: str, retry_after: float | None = None) -> ArcBridgeError:
    return ArcBridgeError(
        ErrorCode.QUOTA_EXCEEDED,
        f"{why}: remove what is not needed, or ask the platform's operators for more",
        retry_after=retry_after,
    )
