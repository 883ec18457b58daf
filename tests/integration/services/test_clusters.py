from datetime import timedelta

import psycopg
import pytest

from shared.contract.cluster import ClusterPatch
from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.contract.states import ConnectionState
from shared.domain.errors import ArcBridgeError
from shared.services import clusters, desired, events, selectors
from shared.services.clusters import ClusterFilter
from shared.services.control_plane import ControlPlane
from tests.integration.conftest import Clock
from tests.integration.services.joining import admin, agent, join, new_token


async def names(cp: ControlPlane, **chosen: object) -> list[str]:
    page = await clusters.list_clusters(cp, admin(), chosen=ClusterFilter.model_validate(chosen))
    return [cluster.name for cluster in page.items]


async def test_clusters_are_listed_page_by_page_without_gap_or_repeat(
    control_plane: ControlPlane,
) -> None:
    for number in range(5):
        await join(control_plane, f"c-{number}")
    await join(control_plane, "c-9", tenant="other")
    seen: list[str] = []
    cursor = None
    while True:
        page = await clusters.list_clusters(control_plane, admin(), cursor=cursor, limit=2)
        seen += [cluster.name for cluster in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"c-{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("selector", "matching"),
    [
        ("", ["a", "b", "c"]),
        ("env=prod", ["a", "b"]),
        ("env==prod,zone", ["a"]),
        ("env!=prod", ["c"]),
        ("!env", ["c"]),
        ("env in (prod,dev), !zone", ["b"]),
        ("zone notin (1)", ["b", "c"]),
        ("zone=2", []),
    ],
)
async def test_a_label_selector_means_what_it_means_to_kubectl(
    control_plane: ControlPlane, selector: str, matching: list[str]
) -> None:
    await join(control_plane, "a", labels={"env": "prod", "zone": "1"})
    await join(control_plane, "b", labels={"env": "prod"})
    await join(control_plane, "c")
    assert await names(control_plane, labels=selectors.parse(selector)) == matching


async def test_text_and_state_narrow_the_list(control_plane: ControlPlane) -> None:
    await join(control_plane, "eu-1")
    await join(control_plane, "us-1")
    assert await names(control_plane, text="eu") == ["eu-1"]
    assert await names(control_plane, text="%") == []
    assert await names(control_plane, state=ConnectionState.CONNECTED) == []
    assert await names(control_plane, state=ConnectionState.PENDING) == ["eu-1", "us-1"]


@pytest.mark.parametrize("cursor", ["x", "bm90LWpzb24", "WzFd", "W10", "e30", "a" * 5000])
async def test_a_cursor_that_this_list_did_not_give_is_refused(
    control_plane: ControlPlane, cursor: str
) -> None:
    with pytest.raises(ArcBridgeError) as caught:
        await clusters.list_clusters(control_plane, admin(), cursor=cursor)
    assert caught.value.code is ErrorCode.INVALID_REQUEST


async def test_labels_are_merged_and_removed_and_the_etag_moves(
    control_plane: ControlPlane,
) -> None:
    await join(control_plane, "eu-1", labels={"env": "prod", "zone": "1"})
    before = await clusters.get(control_plane, admin(), "eu-1")
    after = await clusters.patch(
        control_plane,
        admin(),
        "eu-1",
        ClusterPatch(labels={"zone": None, "ring": "a"}, reason="moved"),
        if_match=before.etag,
    )
    assert after.labels == {"env": "prod", "ring": "a"}
    assert after.etag != before.etag
    with pytest.raises(ArcBridgeError) as caught:
        await clusters.patch(control_plane, admin(), "eu-1", ClusterPatch(), if_match=before.etag)
    assert caught.value.code is ErrorCode.PRECONDITION_FAILED
    entry = (await clusters.cluster_events(control_plane, admin(), "eu-1")).items[0]
    assert entry.action == "cluster.label"
    assert entry.message == "moved"


async def test_another_tenants_cluster_is_not_there(control_plane: ControlPlane) -> None:
    await join(control_plane, "eu-1")
    stranger = admin("other")
    for attempt in (
        clusters.get(control_plane, stranger, "eu-1"),
        clusters.patch(control_plane, stranger, "eu-1", ClusterPatch(), if_match=None),
        clusters.delete(control_plane, stranger, "eu-1", if_match=None),
        clusters.revoke(control_plane, stranger, "eu-1"),
        clusters.inventory(control_plane, stranger, "eu-1"),
        clusters.extensions(control_plane, stranger, "eu-1"),
        clusters.cluster_events(control_plane, stranger, "eu-1"),
    ):
        with pytest.raises(ArcBridgeError) as caught:
            await attempt
        assert caught.value.code is ErrorCode.NOT_FOUND


async def test_a_deregistered_cluster_leaves_and_may_return_as_itself(
    control_plane: ControlPlane, owner_postgres_url: str
) -> None:
    first = await join(control_plane, "eu-1", labels={"env": "prod"})
    await clusters.delete(control_plane, admin(), "eu-1", if_match="1")
    assert await names(control_plane) == []
    assert await names(control_plane, state=ConnectionState.DEREGISTERED) == ["eu-1"]
    with psycopg.connect(owner_postgres_url) as connection:
        assert connection.execute("select state from certificates").fetchall() == [("Revoked",)]
        assert connection.execute("select topic from outbox").fetchall() == [("revoked",)]
    token = await new_token(control_plane, name="eu-1")
    again = await join(control_plane, "eu-1", token=token)
    assert again.cluster_id == first.cluster_id
    assert (await clusters.get(control_plane, admin(), "eu-1")).labels == {"env": "prod"}


async def test_a_new_cluster_may_take_a_deregistered_name_without_becoming_it(
    control_plane: ControlPlane,
) -> None:
    first = await join(control_plane, "eu-1")
    await clusters.delete(control_plane, admin(), "eu-1", if_match=None)
    assert (await join(control_plane, "eu-1")).cluster_id != first.cluster_id


async def test_a_revoked_cluster_stays_registered(control_plane: ControlPlane) -> None:
    await join(control_plane, "eu-1")
    revoked = await clusters.revoke(control_plane, admin(), "eu-1", reason="stolen laptop")
    assert revoked.state is ConnectionState.REVOKED
    assert revoked.certificate is None
    assert {c.type: c.status for c in revoked.conditions}["CertificateValid"] == "False"


async def test_a_certificate_past_its_end_shows(control_plane: ControlPlane, clock: Clock) -> None:
    await join(control_plane, "eu-1")
    clock.ahead = timedelta(days=5)
    conditions = (await clusters.get(control_plane, admin(), "eu-1")).conditions
    reasons = {condition.type: condition.reason for condition in conditions}
    assert reasons["CertificateValid"] is ReasonCode.CERTIFICATE_EXPIRING
    clock.ahead = timedelta(days=8)
    conditions = (await clusters.get(control_plane, admin(), "eu-1")).conditions
    reasons = {condition.type: condition.reason for condition in conditions}
    assert reasons["CertificateValid"] is ReasonCode.CERTIFICATE_EXPIRED


async def test_a_cluster_without_extensions_has_an_empty_document_with_a_digest(
    control_plane: ControlPlane,
) -> None:
    caller = agent(await join(control_plane, "eu-1"))
    document = await desired.document(control_plane, caller)
    assert document.extensions == ()
    unchanged = desired.Unchanged(document.digest)
    assert await desired.newer(control_plane, caller, {document.digest}) == unchanged


async def test_a_trail_that_was_tampered_with_says_where(
    control_plane: ControlPlane, owner_postgres_url: str
) -> None:
    for number in range(4):
        await join(control_plane, f"c-{number}")
    assert (await events.verify(control_plane, admin())).checked == 8
    tampering = {
        "update events set actor = 'person:nobody' where tenant_id = 'acme' and sequence = 3": 3,
        "update events set data = '{}' where tenant_id = 'acme' and sequence = 2": 2,
        "delete from events where tenant_id = 'acme' and sequence = 5": 5,
        "delete from events where tenant_id = 'acme' and sequence > 6": 7,
        "delete from events where tenant_id = 'acme'": 1,
    }
    for statement, broken in tampering.items():
        with psycopg.connect(owner_postgres_url) as connection:
            connection.execute("create table kept as select * from events")
            connection.execute(statement.encode())
            connection.commit()
            verified = await events.verify(control_plane, admin())
            assert (verified.intact, verified.first_broken_sequence) == (False, broken)
            connection.execute("truncate events")
            connection.execute("insert into events select * from kept")
            connection.execute("drop table kept")
    assert (await events.verify(control_plane, admin())).intact
