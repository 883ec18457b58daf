"""A cluster's conditions, computed from what is stored of it. Pure.

`last_transition_time` comes from the thing itself where that has a time (a connection state, a
certificate), else from what the connectivity sweep noted when it saw the status change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contract.limits import CLOCK_SKEW_ALLOWED
from shared.contract.reasons import ReasonCode
from shared.contract.states import ConditionStatus, ConnectionState
from shared.contract.status import Condition, ConditionType
from shared.contract.wording import plural

RENEWAL_OVERDUE = 2 / 3
"""Of a certificate's lifetime: renewal starts at half of it, so by then several tries failed."""
TAKEOVERS = 2
TAKEOVER_WINDOW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFactsNow:
    """What the conditions are computed from."""

    state: ConnectionState
    state_since: datetime
    created_at: datetime
    last_heartbeat: datetime | None
    clock_skew_ms: int | None
    not_before: datetime | None
    """Of the newest good certificate; None without one."""
    not_after: datetime | None
    failed: int
    takeovers: int
    last_takeover_at: datetime | None
    noted: Mapping[str, datetime]
    """`<type>/<status>` -> since when, as the sweep saw it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition before its time is known."""

    type: ConditionType
    status: ConditionStatus
    reason: ReasonCode
    message: str
    since: datetime | None
    """None where only the sweep's note can tell."""


def cluster_conditions(facts: ClusterFactsNow, now: datetime) -> tuple[Condition, ...]:
    """Registered, Connected, ClockSynced, CertificateValid, Ready."""
    return tuple(
        Condition(
            type=verdict.type,
            status=verdict.status,
            reason=verdict.reason,
            message=verdict.message,
            last_transition_time=verdict.since
            or facts.noted.get(f"{verdict.type}/{verdict.status}")
            or (facts.state_since if verdict.type is ConditionType.READY else facts.created_at),
        )
        for verdict in verdicts(facts, now)
    )


def verdicts(facts: ClusterFactsNow, now: datetime) -> tuple[Verdict, ...]:
    """The statuses; the sweep compares them with what it noted."""
    connected, certificate = _connected(facts, now), _certificate(facts, now)
    return (
        _registered(facts),
        connected,
        _clock(facts),
        certificate,
        _ready(facts, connected, certificate),
    )


def has_duplicate(takeovers: int, last_takeover_at: datetime | None, now: datetime) -> bool:
    """Whether two agents take one identity from each other."""
    return (
        takeovers >= TAKEOVERS
        and last_takeover_at is not None
        and now - last_takeover_at <= TAKEOVER_WINDOW
    )


def _registered(facts: ClusterFactsNow) -> Verdict:
    gone = {ConnectionState.REVOKED, ConnectionState.DEREGISTERED}
    if facts.state in gone:
        return Verdict(
            ConditionType.REGISTERED,
            ConditionStatus.FALSE,
            ReasonCode.CERTIFICATE_REVOKED,
            "Its certificate was revoked",
            facts.state_since,
        )
    return Verdict(
        ConditionType.REGISTERED,
        ConditionStatus.TRUE,
        ReasonCode.REGISTERED,
        "It holds a certificate",
        facts.created_at,
    )


def _connected(facts: ClusterFactsNow, now: datetime) -> Verdict:
    if facts.state is ConnectionState.CONNECTED:
        if has_duplicate(facts.takeovers, facts.last_takeover_at, now):
            return Verdict(
                ConditionType.CONNECTED,
                ConditionStatus.TRUE,
                ReasonCode.DUPLICATE_IDENTITY,
                f"{plural(facts.takeovers, 'takeover')}: two agents use its identity",
                facts.state_since,
            )
        return Verdict(
            ConditionType.CONNECTED,
            ConditionStatus.TRUE,
            ReasonCode.CLUSTER_CONNECTED,
            "Heartbeats arrive",
            facts.state_since,
        )
    never = facts.last_heartbeat is None
    seen = "It has never been heard of" if never else "No heartbeat for five intervals"
    return Verdict(
        ConditionType.CONNECTED,
        ConditionStatus.UNKNOWN
        if facts.state is ConnectionState.PENDING
        else ConditionStatus.FALSE,
        ReasonCode.CERTIFICATE_EXPIRED
        if facts.state is ConnectionState.EXPIRED
        else ReasonCode.CLUSTER_OFFLINE,
        seen,
        facts.state_since,
    )


def _clock(facts: ClusterFactsNow) -> Verdict:
    if facts.clock_skew_ms is None:
        return Verdict(
            ConditionType.CLOCK_SYNCED,
            ConditionStatus.UNKNOWN,
            ReasonCode.PROGRESSING,
            "Its clock is not known yet",
            facts.created_at,
        )
    seconds = facts.clock_skew_ms / 1000
    if abs(seconds) > CLOCK_SKEW_ALLOWED.total_seconds():
        ahead = "ahead of" if seconds > 0 else "behind"
        return Verdict(
            ConditionType.CLOCK_SYNCED,
            ConditionStatus.FALSE,
            ReasonCode.CLOCK_SKEWED,
            f"Its clock is {abs(seconds):.0f} s {ahead} the control plane's",
            None,
        )
    return Verdict(
        ConditionType.CLOCK_SYNCED,
        ConditionStatus.TRUE,
        ReasonCode.CLOCK_SYNCED,
        "Its clock agrees with the control plane's",
        None,
    )


def _certificate(facts: ClusterFactsNow, now: datetime) -> Verdict:
    if facts.not_before is None or facts.not_after is None:
        return Verdict(
            ConditionType.CERTIFICATE_VALID,
            ConditionStatus.FALSE,
            ReasonCode.CERTIFICATE_REVOKED,
            "It holds no certificate that is good",
            facts.state_since,
        )
    until = facts.not_after.isoformat(timespec="seconds")
    if now >= facts.not_after:
        return Verdict(
            ConditionType.CERTIFICATE_VALID,
            ConditionStatus.FALSE,
            ReasonCode.CERTIFICATE_EXPIRED,
            f"Its certificate ended at {until}",
            facts.not_after,
        )
    lifetime = facts.not_after - facts.not_before
    overdue = now >= facts.not_before + lifetime * RENEWAL_OVERDUE
    return Verdict(
        ConditionType.CERTIFICATE_VALID,
        ConditionStatus.TRUE,
        ReasonCode.CERTIFICATE_EXPIRING if overdue else ReasonCode.CERTIFICATE_VALID,
        f"Its certificate is good until {until}" + (", and should be renewed" if overdue else ""),
        facts.not_before,
    )


def _ready(facts: ClusterFactsNow, connected: Verdict, certificate: Verdict) -> Verdict:
    for needed in (connected, certificate):
        if needed.status is not ConditionStatus.TRUE:
            return Verdict(
                ConditionType.READY, needed.status, needed.reason, needed.message, needed.since
            )
    if facts.failed:
        failing = plural(facts.failed, "extension")
        return Verdict(
            ConditionType.READY,
            ConditionStatus.FALSE,
            ReasonCode.HEALTH_CHECK_FAILED,
            f"{failing} failed",
            None,
        )
    return Verdict(
        ConditionType.READY,
        ConditionStatus.TRUE,
        ReasonCode.CLUSTER_CONNECTED,
        "It is connected, and no extension failed",
        None,
    )
