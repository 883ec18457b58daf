from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from shared.contract.reasons import ReasonCode
from shared.services import connectivity, health, retention, timers
from shared.services.control_plane import ControlPlane
from shared.services.metrics import Collector
from tests.integration.conftest import Clock
from tests.integration.services.joining import admin, join
from tests.integration.services.test_sweeps import Behind, connected


@pytest.fixture
def behind(owner_postgres_url: str) -> Behind:
    return Behind(owner_postgres_url)


async def test_a_quiet_tenant_has_no_incidents(control_plane: ControlPlane) -> None:
    await join(control_plane, "eu-1")
    summary = await health.summary(control_plane, admin())
    assert summary.incidents == ()
    assert summary.clusters == {"Pending": 1}


async def test_incidents_come_worst_first_with_their_runbooks(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    offline = await connected(control_plane, behind, "a-offline", clock)
    twin = await connected(control_plane, behind, "b-twin", clock)
    skewed = await connected(control_plane, behind, "c-skewed", clock)
    failing = await connected(control_plane, behind, "d-failing", clock)
    clock.ahead = timedelta(minutes=3)
    for cluster in (twin, skewed, failing):
        behind.heartbeat(cluster, clock(), skew_ms=120_000 if cluster == skewed else 0)
    behind.run(
        "update sessions set takeovers = 3, last_takeover_at = %s where cluster_id = %s",
        clock(),
        twin,
    )
    behind.assign(failing, "shop", phase="Failed", reason="UpgradeFailed")
    behind.assign(skewed, "shop", phase="Ready", reason="UpgradeSucceeded")
    await connectivity.sweep(control_plane)
    summary = await health.summary(control_plane, admin())
    assert summary.incidents[0].reason is ReasonCode.DUPLICATE_IDENTITY
    assert {(i.reason, i.scope) for i in summary.incidents} == {
        (ReasonCode.DUPLICATE_IDENTITY, "cluster/b-twin"),
        (ReasonCode.CLUSTER_OFFLINE, "cluster/a-offline"),
        (ReasonCode.CLOCK_SKEWED, "cluster/c-skewed"),
        (ReasonCode.UPGRADE_FAILED, "extension/shop"),
    }
    assert all(incident.runbook for incident in summary.incidents)
    assert offline
    assert (await health.summary(control_plane, admin("other"))).incidents == ()


async def test_readiness_tells_which_server_answers(control_plane: ControlPlane) -> None:
    found = await health.ready(control_plane)
    assert (found.ready, found.postgres, found.redis) == (True, True, True)


async def test_metrics_count_over_all_tenants_and_name_none(
    control_plane: ControlPlane,
) -> None:
    await join(control_plane, "eu-1")
    await join(control_plane, "us-1", tenant="other")
    await timers.note_run(control_plane, "retention")
    text = (await Collector(control_plane).render())[0].decode()
    assert 'arcbridge_clusters{state="Pending"} 2.0' in text
    assert "arcbridge_postgres_up 1.0" in text
    assert 'arcbridge_timer_age_seconds{timer="retention"}' in text
    assert "acme" not in text
    assert "eu-1" not in text


async def test_retention_deletes_what_is_past_its_time_and_keeps_the_trail(
    control_plane: ControlPlane, owner_postgres_url: str, clock: Clock
) -> None:
    cluster = (await join(control_plane, "eu-1")).cluster_id
    with psycopg.connect(owner_postgres_url) as connection:
        for age in (1, 20):
            at = datetime.now(UTC) - timedelta(days=age)
            connection.execute(
                "insert into status_events values ('acme', %s, gen_random_uuid(), 1, 1, %s, '{}')",
                (cluster, at),
            )
            connection.execute(
                "insert into idempotency_keys (tenant_id, key, route, request_sha, created_at)"
                " values ('acme', %s, '', '', %s)",
                (str(age), at + timedelta(hours=1)),
            )
        connection.commit()
        assert await retention.run(control_plane) == 2
        clock.ahead = timedelta(days=40)
        await retention.run(control_plane)
        rows = connection.execute(
            "select (select count(*) from bootstrap_tokens), (select count(*) from events),"
            " (select count(*) from certificates)"
        ).fetchone()
    assert rows == (0, 2, 1)
