from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.domain.errors import ArcBridgeError
from shared.services import sessions
from shared.services.cluster_key import ClusterKey
from shared.services.sessions import Applicant, Grant
from tests.integration.relay.conftest import Stores
from tests.integration.relay.fleet import (
    Enrolled,
    add_certificate,
    cluster_row,
    enrol,
    session_row,
)
from tests.integration.store.test_tenancy import sample

ALIVE = timedelta(minutes=2)


def applicant(cluster: Enrolled, instance: str = "a", **facts: str) -> Applicant:
    return Applicant(key=cluster.key, serial=cluster.serial, instance_id=instance, **facts)


async def granted(stores: Stores, *applicants: Applicant, relay: str = "r1") -> list[Grant]:
    answers = await sessions.grant(stores, applicants, relay_id=relay, alive_within=ALIVE)
    assert all(isinstance(answer, Grant) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Grant)]


async def refused(stores: Stores, one: Applicant) -> ArcBridgeError:
    (answer,) = await sessions.grant(stores, [one], relay_id="r1", alive_within=ALIVE)
    assert isinstance(answer, ArcBridgeError)
    return answer


async def test_each_connect_gets_a_higher_epoch(stores: Stores, owner_postgres_url: str) -> None:
    (cluster,) = enrol(owner_postgres_url, 1)
    epochs = [(await granted(stores, applicant(cluster)))[0].epoch for _ in range(3)]
    assert epochs == [1, 2, 3]


async def test_an_epoch_is_higher_than_the_one_that_the_agent_holds_but_leaps_only_so_far(
    stores: Stores, owner_postgres_url: str
) -> None:
    """A restored database has forgotten epochs; an agent that lies uses none up."""
    (cluster,) = enrol(owner_postgres_url, 1)
    await granted(stores, applicant(cluster))
    (grant,) = await granted(stores, replace(applicant(cluster), held_epoch=40))
    assert grant.epoch == 41
    (grant,) = await granted(stores, replace(applicant(cluster), held_epoch=7))
    assert grant.epoch == 42
    (grant,) = await granted(stores, replace(applicant(cluster), held_epoch=2**64 - 1))
    assert grant.epoch == 1_000_042


async def test_acknowledged_reports_that_are_not_stored_are_asked_for_again(
    stores: Stores, owner_postgres_url: str
) -> None:
    (cluster,) = enrol(owner_postgres_url, 1)
    with psycopg.connect(owner_postgres_url) as connection:
        connection.execute("set session_replication_role = replica")
        sample(connection, "assignments", cluster.key.tenant)
        connection.execute(
            "update assignments set cluster_id = %s, epoch = 3, sequence = 8",
            [cluster.key.cluster_id],
        )
    for held, acknowledged, lost in ((3, 8, False), (3, 9, True), (5, 9, True), (2, 9, False)):
        says = replace(applicant(cluster), held_epoch=held, acknowledged_sequence=acknowledged)
        (grant,) = await granted(stores, says)
        assert grant.has_lost_reports is lost, (held, acknowledged)


async def test_a_batch_answers_each_applicant_in_order(
    stores: Stores, owner_postgres_url: str
) -> None:
    first, second, stranger = enrol(owner_postgres_url, 3)
    unknown = Applicant(key=stranger.key, serial="ff", instance_id="x")
    answers = await sessions.grant(
        stores,
        [applicant(second), unknown, applicant(first)],
        relay_id="r1",
        alive_within=ALIVE,
    )
    assert isinstance(answers[0], Grant)
    assert isinstance(answers[1], ArcBridgeError)
    assert isinstance(answers[2], Grant)


async def test_concurrent_batches_over_the_same_clusters_give_no_epoch_twice(
    stores: Stores, owner_postgres_url: str
) -> None:
    fleet = enrol(owner_postgres_url, 50)
    batches = [
        granted(stores, *(applicant(each) for each in order))
        for order in (fleet, fleet[::-1], fleet[25:] + fleet[:25], fleet[::2])
    ]
    given: dict[ClusterKey, list[int]] = {each.key: [] for each in fleet}
    orders = (fleet, fleet[::-1], fleet[25:] + fleet[:25], fleet[::2])
    for order, grants in zip(orders, await asyncio.gather(*batches), strict=True):
        for each, grant in zip(order, grants, strict=True):
            given[each.key].append(grant.epoch)
    assert all(len(set(epochs)) == len(epochs) for epochs in given.values())


async def test_a_certificate_of_another_cluster_is_unknown(
    stores: Stores, owner_postgres_url: str
) -> None:
    one, other = enrol(owner_postgres_url, 2)
    borrowed = Applicant(key=one.key, serial=other.serial, instance_id="a")
    assert (await refused(stores, borrowed)).code is ErrorCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ("update certificates set state = 'Revoked'", ErrorCode.FORBIDDEN,
         ReasonCode.CERTIFICATE_REVOKED),
        ("update certificates set state = 'Retired'", ErrorCode.UNAUTHENTICATED, None),
        ("update certificates set not_after = now()", ErrorCode.UNAUTHENTICATED,
         ReasonCode.CERTIFICATE_EXPIRED),
        ("update clusters set deregistered_at = now()", ErrorCode.FORBIDDEN,
         ReasonCode.CERTIFICATE_REVOKED),
        ("update tenants set state = 'Suspended'", ErrorCode.FORBIDDEN,
         ReasonCode.TENANT_SUSPENDED),
    ],
)  # fmt: skip
async def test_what_is_no_longer_good_is_refused(
    stores: Stores,
    owner_postgres_url: str,
    change: str,
    code: ErrorCode,
    reason: ReasonCode | None,
) -> None:
    (cluster,) = enrol(owner_postgres_url, 1)
    with psycopg.connect(owner_postgres_url) as connection:
        connection.execute(change.encode())
    error = await refused(stores, applicant(cluster))
    assert (error.code, error.reason) == (code, reason)


async def test_a_new_certificate_retires_the_one_before_when_it_is_first_seen(
    stores: Stores, owner_postgres_url: str
) -> None:
    (cluster,) = enrol(owner_postgres_url, 1)
    with psycopg.connect(owner_postgres_url) as connection, connection.cursor() as cursor:
        add_certificate(cursor, cluster.key, "beef", state="New")
    await granted(stores, applicant(cluster))
    await granted(stores, Applicant(key=cluster.key, serial="beef", instance_id="a"))
    assert (await refused(stores, applicant(cluster))).code is ErrorCode.UNAUTHENTICATED


async def test_connecting_makes_a_cluster_connected_and_tells_what_it_runs(
    stores: Stores, owner_postgres_url: str
) -> None:
    (cluster,) = enrol(owner_postgres_url, 1)
    await granted(stores, applicant(cluster, agent_version="1.2", distribution="k3s"))
    row = cluster_row(owner_postgres_url, cluster.key)
    assert (row["state"], row["agent_version"], row["distribution"]) == ("Connected", "1.2", "k3s")


class TestTakeovers:
    async def test_the_same_instance_may_come_again_and_again(
        self, stores: Stores, owner_postgres_url: str
    ) -> None:
        (cluster,) = enrol(owner_postgres_url, 1)
        for _ in range(4):
            (grant,) = await granted(stores, applicant(cluster, "a"))
        assert not grant.taken_over

    async def test_an_instance_that_comes_after_a_clean_end_takes_nothing_over(
        self, stores: Stores, owner_postgres_url: str
    ) -> None:
        (cluster,) = enrol(owner_postgres_url, 1)
        (first,) = await granted(stores, applicant(cluster, "a"))
        await sessions.release(stores, {cluster.key: first.epoch}, relay_id="r1")
        (second,) = await granted(stores, applicant(cluster, "b"))
        assert not second.taken_over

    async def test_a_release_of_an_older_epoch_changes_nothing(
        self, stores: Stores, owner_postgres_url: str
    ) -> None:
        (cluster,) = enrol(owner_postgres_url, 1)
        (old,) = await granted(stores, applicant(cluster), relay="r1")
        await granted(stores, applicant(cluster), relay="r1")
        await sessions.release(stores, {cluster.key: old.epoch}, relay_id="r1")
        assert session_row(owner_postgres_url, cluster.key)["relay_id"] == "r1"

    async def test_one_takeover_is_a_move_and_two_are_a_duplicate(
        self, stores: Stores, owner_postgres_url: str
    ) -> None:
        (cluster,) = enrol(owner_postgres_url, 1)
        (one,) = await granted(stores, applicant(cluster, "a"))
        (two,) = await granted(stores, applicant(cluster, "b"))
        (three,) = await granted(stores, applicant(cluster, "a"))
        assert [one.taken_over, two.taken_over, three.taken_over] == [False, True, True]
        assert [one.is_duplicate, two.is_duplicate, three.is_duplicate] == [False, False, True]

    async def test_takeovers_far_apart_do_not_add_up(
        self, stores: Stores, owner_postgres_url: str
    ) -> None:
        (cluster,) = enrol(owner_postgres_url, 1)
        now = datetime.now(UTC)
        grant: Grant | None = None
        for number, instance in enumerate("aba"):
            later = stores.at(now + number * timedelta(minutes=11))
            (grant,) = await granted(later, applicant(cluster, instance))
            with psycopg.connect(owner_postgres_url) as connection:  # its heartbeats go on
                connection.execute("update sessions set last_heartbeat = now() + interval '1 day'")
        assert grant is not None
        assert grant.taken_over
        assert not grant.is_duplicate

    async def test_an_instance_that_fell_silent_is_succeeded_and_not_taken_over(
        self, stores: Stores, owner_postgres_url: str
    ) -> None:
        (cluster,) = enrol(owner_postgres_url, 1)
        await granted(stores, applicant(cluster, "a"))
        later = stores.at(datetime.now(UTC) + 2 * ALIVE)
        (grant,) = await granted(later, applicant(cluster, "b"))
        assert not grant.taken_over


async def test_newer_epochs_and_revocations_are_found(
    stores: Stores, owner_postgres_url: str
) -> None:
    one, other = enrol(owner_postgres_url, 2)
    await granted(stores, applicant(one), applicant(other))
    await granted(stores, applicant(other))
    assert await sessions.changed_epochs(stores.db, {one.key: 1, other.key: 1}) == {other.key: 2}
    gone = ClusterKey(one.key.tenant, UUID(int=7))
    restored = {one.key: 5, gone: 3}
    assert await sessions.changed_epochs(stores.db, restored) == {one.key: 1, gone: 0}
    began = datetime.now(UTC) - timedelta(seconds=1)
    with psycopg.connect(owner_postgres_url) as connection:
        connection.execute(
            "update certificates set state = 'Revoked', revoked_at = now() where serial = %s",
            [one.serial],
        )
    assert await sessions.revoked_since(stores.db, began) == {(one.key, one.serial)}
