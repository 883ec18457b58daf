"""Whether this worker can serve, and what a person on call has to know.

`live` asks nothing of anyone: a worker whose database is away must not be restarted for it. `ready`
needs Postgres; Redis may be away, then limits and replay protection say what they do.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contract.events import HealthSummary, Incident
from shared.contract.limits import CLOCK_SKEW_ALLOWED
from shared.contract.reasons import ReasonCode, Severity
from shared.contract.wording import plural
from shared.domain.errors import ArcBridgeError
from shared.services.caller import Caller
from shared.services.cluster_conditions import (
    RENEWAL_OVERDUE,
    TAKEOVER_WINDOW,
    TAKEOVERS,
    has_duplicate,
)
from shared.services.control_plane import ControlPlane
from shared.services.hot_path import REDIS_ERRORS
from shared.store.queries import load
from shared.store.transaction import Row

_Q = load("health")

REDIS_SECONDS = 1.0
INCIDENTS_PER_KIND = 200
RECENT = timedelta(hours=24)
WAKES_SOMEONE = {
    reason.value: reason for reason in ReasonCode if reason.severity is not Severity.INFO
}
_ORDER = {Severity.PAGE: 0, Severity.TICKET: 1, Severity.INFO: 2}


@dataclass(frozen=True, slots=True)
class Readiness:
    """Which servers answer."""

    postgres: bool
    redis: bool

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        return self.postgres


async def ready(cp: ControlPlane) -> Readiness:
    """Ask both servers, for a few seconds at most."""
    postgres, redis = await asyncio.gather(_postgres(cp), _redis(cp))
    return Readiness(postgres, redis)


async def summary(cp: ControlPlane, caller: Caller) -> HealthSummary:
    """The tenant's open incidents, worst first, each with its runbook."""
    now = cp.clock()
    async with cp.db.tenant(caller.tenant) as tx:
        clusters = await tx.all(_Q.clusters_by_state, tenant=caller.tenant)
        rollouts = await tx.all(_Q.rollouts_by_state, tenant=caller.tenant)
        troubled = await tx.all(
            _Q.troubled_clusters,
            tenant=caller.tenant,
            now=now,
            allowed_ms=round(CLOCK_SKEW_ALLOWED.total_seconds() * 1000),
            takeovers=TAKEOVERS,
            takeovers_since=now - TAKEOVER_WINDOW,
            overdue=RENEWAL_OVERDUE,
            limit=INCIDENTS_PER_KIND,
        )
        extensions = await tx.all(
            _Q.troubled_extensions,
            tenant=caller.tenant,
            reasons=list(WAKES_SOMEONE),
            limit=INCIDENTS_PER_KIND,
        )
        stuck = await tx.all(
            _Q.troubled_rollouts,
            tenant=caller.tenant,
            recent=now - RECENT,
            limit=INCIDENTS_PER_KIND,
        )
    found = [incident for row in troubled for incident in _of_cluster(row, now)]
    found += [_of_extension(row) for row in extensions]
    found += [_of_rollout(row) for row in stuck]
    return HealthSummary(
        incidents=tuple(sorted(found, key=lambda i: (_ORDER[i.severity], i.since, i.scope))),
        clusters={row["state"]: row["count"] for row in clusters},
        rollouts={row["state"]: row["count"] for row in rollouts},
    )


def _of_cluster(row: Row, now: datetime) -> list[Incident]:
    scope = f"cluster/{row['name']}"
    found = []
    if has_duplicate(row["takeovers"], row["last_takeover_at"], now):
        message = f"{plural(row['takeovers'], 'takeover')}: two agents use its identity"
        found.append(
            _incident(ReasonCode.DUPLICATE_IDENTITY, scope, message, row["last_takeover_at"])
        )
    if row["state"] == "Offline":
        last = row["last_heartbeat"]
        heard = "never heard of" if last is None else f"last heard of {_when(last)}"
        found.append(_incident(ReasonCode.CLUSTER_OFFLINE, scope, heard, row["state_since"]))
    if row["state"] == "Expired":
        message = "Its certificate has ended: it must register again"
        found.append(_incident(ReasonCode.CERTIFICATE_EXPIRED, scope, message, row["state_since"]))
    elif row["state"] == "Connected" and row["not_after"] is not None:
        due = row["not_before"] + (row["not_after"] - row["not_before"]) * RENEWAL_OVERDUE
        if now > due:
            message = f"Not renewed, good until {_when(row['not_after'])}"
            found.append(_incident(ReasonCode.CERTIFICATE_EXPIRING, scope, message, due))
    skew = (row["clock_skew_ms"] or 0) / 1000
    if abs(skew) > CLOCK_SKEW_ALLOWED.total_seconds():
        since = row["clock_since"] or row["state_since"]
        message = f"Its clock is {skew:+.0f} s off"
        found.append(_incident(ReasonCode.CLOCK_SKEWED, scope, message, since))
    return found


def _of_extension(row: Row) -> Incident:
    where = plural(row["clusters"], "cluster")
    return _incident(
        WAKES_SOMEONE[row["reason"]],
        f"extension/{row['extension']}",
        f"On {where}, such as {row['example']}",
        row["since"],
    )


def _of_rollout(row: Row) -> Incident:
    reason = {
        "AwaitingApproval": ReasonCode.AWAITING_APPROVAL,
        "RollingBack": ReasonCode.FAILURE_BUDGET_EXCEEDED,
        "Paused": ReasonCode.FAILURE_BUDGET_EXCEEDED,
    }.get(row["state"])
    if reason is None:
        failed_back = row["kind"] == "rollback"
        reason = ReasonCode.ROLLBACK_FAILED if failed_back else ReasonCode.ROLLOUT_FAILED
    waiting = row["waiting_for"] or {}
    message = waiting.get("message") or f"The {row['kind']} of {row['extension']}: {row['state']}"
    return _incident(reason, f"rollout/{row['rollout_id']}", message, row["since"])


def _incident(reason: ReasonCode, scope: str, message: str, since: datetime) -> Incident:
    return Incident(
        severity=reason.severity,
        scope=scope,
        reason=reason,
        message=message,
        since=since,
        runbook=reason.runbook,
    )


def _when(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


async def _postgres(cp: ControlPlane) -> bool:
    try:
        await cp.db.ping()
    except ArcBridgeError:
        return False
    return True


async def _redis(cp: ControlPlane) -> bool:
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            await cp.redis.ping()
    except REDIS_ERRORS:
        return False
    return True
