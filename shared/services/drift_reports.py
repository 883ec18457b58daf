"""Drift as agents report it: one open row per extension and cluster; the trail keeps changes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.status import StatusEvent
from shared.contract.wording import plural
from shared.services import audit
from shared.services.ids import new_id
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("status")


async def record(
    tx: Transaction, tenant: str, cluster_id: UUID, cluster: str, event: StatusEvent, now: datetime
) -> list[audit.Entry]:
    """Open, update or close the drift that the event's report tells of; what the trail keeps."""
    report = event.drift
    if report is None:
        return []
    place = {"tenant": tenant, "cluster": cluster_id, "extension": event.extension}
    if not report.differences:
        closed = await tx.all(_Q.close_drift, **place, now=now)
        corrected = report.corrections > 0
        reason = ReasonCode.DRIFT_CORRECTED if corrected else ReasonCode.NO_DRIFT_DETECTED
        return [_entry("drift.close", cluster, event, reason, row["drift_id"]) for row in closed]
    drift_id = new_id()
    row = await tx.one(
        _Q.open_drift,
        **place,
        drift=drift_id,
        revision=event.revision,
        differences=jsonb([difference.to_wire() for difference in report.differences]),
        truncated=report.truncated,
        now=now,
    )
    if row is not None and row["opened"]:
        return [_entry("drift.open", cluster, event, ReasonCode.DRIFT_DETECTED, drift_id)]
    if row is not None and row["correcting"]:
        await tx.execute(_Q.correction_done, **place, correction=report.correction)
    return []


def _entry(
    action: str, cluster: str, event: StatusEvent, reason: ReasonCode, drift_id: UUID
) -> audit.Entry:
    count = len(event.drift.differences) if event.drift else 0
    return audit.Entry(
        action=action,
        subject=f"cluster/{cluster}",
        reason=reason,
        message=f"{event.extension}: {plural(count, 'difference') if count else 'none'}",
        data={"extension": event.extension, "drift": str(drift_id), "differences": count},
    )
