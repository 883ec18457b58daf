from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import ConnectionState
from shared.services.cluster_conditions import ClusterFactsNow, cluster_conditions

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "state": ConnectionState.CONNECTED,
    "state_since": NOW - timedelta(hours=3),
    "created_at": NOW - timedelta(days=3),
    "last_heartbeat": NOW - timedelta(seconds=9),
    "clock_skew_ms": 40,
    "not_before": NOW - timedelta(days=2),
    "not_after": NOW + timedelta(days=5),
    "failed": 0,
    "takeovers": 0,
    "last_takeover_at": None,
    "noted": {},
}


def found(**change: Any) -> dict[str, tuple[str, ReasonCode]]:
    facts = ClusterFactsNow(**GOOD | change)
    return {c.type.value: (c.status.value, c.reason) for c in cluster_conditions(facts, NOW)}


def test_a_good_cluster_is_true_in_everything() -> None:
    assert {status for status, _ in found().values()} == {"True"}


@pytest.mark.parametrize(
    ("change", "condition", "status", "reason"),
    [
        ({"failed": 1}, "Ready", "False", ReasonCode.HEALTH_CHECK_FAILED),
        ({"clock_skew_ms": -60_001}, "ClockSynced", "False", ReasonCode.CLOCK_SKEWED),
        ({"clock_skew_ms": 60_000}, "ClockSynced", "True", ReasonCode.CLOCK_SYNCED),
        ({"clock_skew_ms": None}, "ClockSynced", "Unknown", ReasonCode.PROGRESSING),
        ({"state": ConnectionState.OFFLINE}, "Connected", "False", ReasonCode.CLUSTER_OFFLINE),
        ({"state": ConnectionState.OFFLINE}, "Ready", "False", ReasonCode.CLUSTER_OFFLINE),
        ({"state": ConnectionState.PENDING}, "Connected", "Unknown", ReasonCode.CLUSTER_OFFLINE),
        ({"state": ConnectionState.REVOKED}, "Registered", "False", ReasonCode.CERTIFICATE_REVOKED),
        ({"not_after": NOW}, "CertificateValid", "False", ReasonCode.CERTIFICATE_EXPIRED),
        (
            {"not_after": NOW + timedelta(days=1)},
            "CertificateValid",
            "True",
            ReasonCode.CERTIFICATE_EXPIRING,
        ),
        ({"not_after": None}, "Ready", "False", ReasonCode.CERTIFICATE_REVOKED),
        (
            {"takeovers": 2, "last_takeover_at": NOW - timedelta(minutes=9)},
            "Connected",
            "True",
            ReasonCode.DUPLICATE_IDENTITY,
        ),
        (
            {"takeovers": 9, "last_takeover_at": NOW - timedelta(minutes=11)},
            "Connected",
            "True",
            ReasonCode.CLUSTER_CONNECTED,
        ),
    ],
    ids=str,
)
def test_each_trouble_shows_in_its_condition(
    change: dict[str, Any], condition: str, status: str, reason: ReasonCode
) -> None:
    assert found(**change)[condition] == (status, reason)


def test_times_move_only_with_the_status() -> None:
    noted = {"Ready/True": NOW - timedelta(hours=2), "ClockSynced/True": NOW - timedelta(days=1)}
    before = cluster_conditions(ClusterFactsNow(**GOOD | {"noted": noted}), NOW)
    later = GOOD | {"noted": noted, "last_heartbeat": NOW, "clock_skew_ms": 90}
    after = cluster_conditions(ClusterFactsNow(**later), NOW + timedelta(seconds=30))
    assert [c.last_transition_time for c in before] == [c.last_transition_time for c in after]
    assert {c.type.value: c.last_transition_time for c in after}["Ready"] == noted["Ready/True"]
