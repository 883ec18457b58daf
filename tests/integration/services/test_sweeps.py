import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from shared.contract.canonical import digest
from shared.contract.cluster import DriftAccept, DriftAction
from shared.contract.errors import ErrorCode
from shared.contract.extension import ResolvedSpec
from shared.contract.kustomize_source import KustomizeSource
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from shared.contract.states import ConnectionState, DriftKind
from shared.domain.errors import ArcBridgeError
from shared.services import clusters, connectivity, desired, drift, drift_sweep, events
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from tests.integration.conftest import Clock
from tests.integration.services.joining import admin, join

SPEC = ResolvedSpec(
    source=Source(kustomize=KustomizeSource(files={"kustomization.yaml": ""})),
    namespace="shop",
)
DIGEST = digest(SPEC.to_canonical())


class Behind:
    """Writes what other parts would have written."""

    def __init__(self, url: str) -> None:
        self._url = url

    def run(self, statement: str, *params: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self._url) as connection:
            cursor = connection.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def heartbeat(self, cluster_id: UUID, at: datetime, skew_ms: int = 0) -> None:
        self.run(
            "update sessions set last_heartbeat = %s, clock_skew_ms = %s where cluster_id = %s",
            at,
            skew_ms,
            cluster_id,
        )

    def assign(self, cluster_id: UUID, extension: str, **fields: object) -> None:
        self.run(
            "insert into resolved_specs (tenant_id, digest, spec) values ('acme', %s, %s)"
            " on conflict do nothing",
            DIGEST,
            Jsonb(SPEC.to_canonical()),
        )
        row = {
            "tenant_id": "acme", "cluster_id": cluster_id, "extension": extension, "revision": 1,
            "spec_digest": DIGEST, "generation": 1, "rollout_id": uuid4(),
            "released_at": datetime.now(UTC), "phase": "Ready", "observed_generation": 1,
            "observed_digest": DIGEST, "reported_at": datetime.now(UTC), **fields,
        }  # fmt: skip
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        self.run(f"insert into assignments ({names}) values ({marks})", *row.values())  # noqa: S608 - a test's own columns


@pytest.fixture
def behind(owner_postgres_url: str) -> Behind:
    return Behind(owner_postgres_url)


async def actions(cp: ControlPlane) -> list[str]:
    page = await events.list_events(cp, admin())
    return [event.action for event in page.items if event.actor.startswith("system:")]


async def state(cp: ControlPlane, name: str) -> ConnectionState:
    return (await clusters.get(cp, admin(), name)).state


async def connected(cp: ControlPlane, behind: Behind, name: str, clock: Clock) -> UUID:
    answer = await join(cp, name)
    behind.heartbeat(answer.cluster_id, clock())
    await connectivity.sweep(cp)
    assert await state(cp, name) is ConnectionState.CONNECTED
    return answer.cluster_id


async def test_a_silent_cluster_goes_offline_after_five_intervals_and_comes_back(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    cluster = await connected(control_plane, behind, "eu-1", clock)
    clock.ahead = timedelta(seconds=140)
    assert await connectivity.sweep(control_plane) == 0
    clock.ahead = timedelta(seconds=160)
    assert await connectivity.sweep(control_plane) == 1
    assert await state(control_plane, "eu-1") is ConnectionState.OFFLINE
    behind.heartbeat(cluster, clock())
    assert await connectivity.sweep(control_plane) == 1
    assert await state(control_plane, "eu-1") is ConnectionState.CONNECTED
    assert await connectivity.sweep(control_plane) == 0
    assert await actions(control_plane) == [
        "cluster.connected",
        "cluster.offline",
        "cluster.connected",
    ]


async def test_a_cluster_whose_certificate_ended_is_expired(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    cluster = await connected(control_plane, behind, "eu-1", clock)
    clock.ahead = timedelta(days=8)
    behind.heartbeat(cluster, clock())
    await connectivity.sweep(control_plane)
    assert await state(control_plane, "eu-1") is ConnectionState.EXPIRED


async def test_a_clock_that_is_off_shows_once_and_its_time_stays(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    cluster = await connected(control_plane, behind, "eu-1", clock)
    behind.heartbeat(cluster, clock(), skew_ms=86_400_000)
    await connectivity.sweep(control_plane)
    first = (await clusters.get(control_plane, admin(), "eu-1")).conditions
    behind.heartbeat(cluster, clock(), skew_ms=86_400_500)
    assert await connectivity.sweep(control_plane) == 0
    second = (await clusters.get(control_plane, admin(), "eu-1")).conditions
    skewed = {c.type: c for c in second}["ClockSynced"]
    assert skewed.reason is ReasonCode.CLOCK_SKEWED
    assert {c.type: c.last_transition_time for c in first} == {
        c.type: c.last_transition_time for c in second
    }
    behind.heartbeat(cluster, clock(), skew_ms=0)
    await connectivity.sweep(control_plane)
    assert (await actions(control_plane))[:2] == ["cluster.clock-synced", "cluster.clock-skewed"]


async def test_sweeps_at_the_same_time_write_each_event_once(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    for number in range(3):
        await connected(control_plane, behind, f"c-{number}", clock)
    clock.ahead = timedelta(minutes=5)
    await asyncio.gather(*(connectivity.sweep(control_plane) for _ in range(5)))
    await connectivity.sweep(control_plane)
    assert (await actions(control_plane)).count("cluster.offline") == 3


async def test_silence_is_drift_after_three_intervals_and_ends_with_a_report(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    cluster = await connected(control_plane, behind, "eu-1", clock)
    behind.assign(cluster, "shop", drift_checked_at=clock())
    clock.ahead = timedelta(minutes=29)
    assert await drift_sweep.sweep(control_plane) == 0
    clock.ahead = timedelta(minutes=31)
    assert await drift_sweep.sweep(control_plane) == 1
    assert await drift_sweep.sweep(control_plane) == 0
    found = (await drift.list_drifts(control_plane, admin())).items
    assert [each.kind for each in found] == [DriftKind.SILENCE]
    behind.run("update assignments set drift_checked_at = %s", clock())
    assert await drift_sweep.sweep(control_plane) == 1
    assert (await drift.list_drifts(control_plane, admin())).items == ()
    assert (await actions(control_plane))[:2] == ["drift.close", "drift.open"]


async def test_another_version_than_the_released_one_is_drift_outside_of_rollouts(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    cluster = await connected(control_plane, behind, "eu-1", clock)
    behind.assign(cluster, "shop", generation=2, drift_checked_at=clock())
    assert await drift_sweep.sweep(control_plane) == 0  # released just now
    clock.ahead = timedelta(minutes=11)
    assert await drift_sweep.sweep(control_plane) == 1
    found = (await drift.list_drifts(control_plane, admin())).items
    assert [each.kind for each in found] == [DriftKind.VERSION]
    behind.run("update assignments set observed_generation = 2")
    assert await drift_sweep.sweep(control_plane) == 1


async def test_of_a_cluster_that_is_away_nothing_is_concluded(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    cluster = await connected(control_plane, behind, "eu-1", clock)
    behind.assign(cluster, "shop")
    clock.ahead = timedelta(hours=1)
    await connectivity.sweep(control_plane)
    assert await state(control_plane, "eu-1") is ConnectionState.OFFLINE
    assert await drift_sweep.sweep(control_plane) == 0


async def test_more_drifts_than_one_pass_opens_are_all_found(
    control_plane: ControlPlane, behind: Behind, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_sweep, "OPENED_PER_PASS", 2)
    cluster = await connected(control_plane, behind, "eu-1", clock)
    for number in range(5):
        behind.assign(cluster, f"shop-{number}", drift_checked_at=clock())
    clock.ahead = timedelta(hours=1)
    behind.heartbeat(cluster, clock())
    assert await drift_sweep.sweep(control_plane) == 5


async def manifest_drift(cp: ControlPlane, behind: Behind, clock: Clock) -> tuple[UUID, UUID]:
    cluster = await connected(cp, behind, "eu-1", clock)
    behind.assign(cluster, "shop")
    difference = {
        "kind": "changed", "apiVersion": "apps/v1", "objectKind": "Deployment",
        "namespace": "shop", "name": "web", "path": "/spec/replicas", "desired": 1, "observed": 3,
        "managers": ["kubectl-edit"], "firstSeen": clock().isoformat(),
    }  # fmt: skip
    drift_id = uuid4()
    behind.run(
        "insert into drifts (tenant_id, drift_id, cluster_id, extension, kind, revision,"
        " differences) values ('acme', %s, %s, 'shop', 'manifest', 1, %s)",
        drift_id,
        cluster,
        Jsonb([difference]),
    )
    return cluster, drift_id


async def test_a_correction_reaches_the_agent_once(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    cluster, drift_id = await manifest_drift(control_plane, behind, clock)
    for _ in range(2):
        asked = await drift.correct(
            control_plane, admin(), drift_id, DriftAction(reason="back to one")
        )
        assert asked.correcting
    document = await desired.document(control_plane, agent_of(cluster))
    assert document.extensions[0].correction == 1
    assert behind.run("select topic from outbox") == [("desired",)]


async def test_an_accepted_difference_travels_until_it_ends(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    cluster, drift_id = await manifest_drift(control_plane, behind, clock)
    until = clock() + timedelta(hours=1)
    for _ in range(2):
        await drift.accept(
            control_plane, admin(), drift_id, DriftAccept(reason="load test", expires_at=until)
        )
    caller = agent_of(cluster)
    document = await desired.document(control_plane, caller)
    (accepted,) = document.extensions[0].accepted_drift
    assert (accepted.target.group, accepted.target.kind) == ("apps", "Deployment")
    assert (accepted.path, accepted.observed) == ("/spec/replicas", 3)
    unchanged = desired.Unchanged(document.digest)
    assert await desired.newer(control_plane, caller, {document.digest}) == unchanged
    clock.ahead = timedelta(hours=2)
    assert (await desired.document(control_plane, caller)).extensions[0].accepted_drift == ()
    with pytest.raises(ArcBridgeError) as caught:
        await drift.accept(
            control_plane, admin(), drift_id, DriftAccept(reason="late", expires_at=until)
        )
    assert caught.value.code is ErrorCode.INVALID_REQUEST


async def test_another_tenants_drift_is_not_there(
    control_plane: ControlPlane, behind: Behind, clock: Clock
) -> None:
    _, drift_id = await manifest_drift(control_plane, behind, clock)
    stranger = admin("other")
    assert (await drift.list_drifts(control_plane, stranger)).items == ()
    with pytest.raises(ArcBridgeError) as caught:
        await drift.correct(control_plane, stranger, drift_id, DriftAction())
    assert caught.value.code is ErrorCode.NOT_FOUND


def agent_of(cluster_id: UUID) -> Caller:
    return Caller(actor=f"cluster:{cluster_id}", tenant="acme", cluster_id=cluster_id)
