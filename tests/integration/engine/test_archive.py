"""A tenant to a file and into another installation: nothing is lost, nothing is doubled."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dev.backends import Backends
from shared.contract.archive import (
    ArchiveKind,
    ArchivePage,
    ArchiveRecord,
    ImportBatch,
    ImportEnd,
    ImportRequest,
)
from shared.contract.artifact_policy import ArtifactPolicySpec
from shared.contract.base import WireModel
from shared.contract.errors import ErrorCode
from shared.contract.freeze import FreezeSpec
from shared.contract.joining_policy import JoiningPolicySpec
from shared.contract.states import Role
from shared.contract.tenant import TenantState
from shared.domain.errors import ArcBridgeError
from shared.services import (
    artifact_policies,
    audit,
    events,
    export,
    freezes,
    joining_policies,
    pacer,
    publish,
    retention,
    tenant_import,
    tenants,
)
from shared.services.caller import Caller
from shared.store.database import Database
from tests.conftest import (
    APP_LOGIN,
    APP_PASSWORD,
    EXPANSION,
    new_database,
    with_login,
)
from tests.integration.engine.fleet import OPERATOR, TENANT, Fleet, Plane, manifest
from tests.integration.store.test_tenancy import sample, tables

PLATFORM = Caller(actor="person:platform", tenant=TENANT, roles=frozenset({Role.PLATFORM_ADMIN}))
LEFT_OUT = {
    "tenants": "its quotas and age are in the file's header",
    "event_heads": "follows from the trail",
    "enrolments": "go with the tokens that were asked with",
    "bootstrap_tokens": "good for a day at most, and better made anew",
    "inventories": "agents send it again when they connect",
    "inventory_objects": "agents send it again when they connect",
    "status_events": "what they said is in the assignments",
    "outbox": "wake-ups; a lost one costs a poll interval",
    "idempotency_keys": "answers of calls to this installation",
}
FILE = "f" * 64


@pytest.fixture
async def full(fleet: Fleet, plane: Plane) -> Fleet:
    """A tenant with rows in every table that is exported, suspended; a rollout is under way."""
    fleet.connect("eu-1", "eu-2", labels={"env": "prod", "note": "naïve"})
    await publish.publish(plane, OPERATOR, manifest(values={"nothing": None, "share": 0.25}))
    await fleet.run()
    await freezes.put(plane, OPERATOR, "xmas", FreezeSpec(), None)
    await artifact_policies.put(
        plane, OPERATOR, ArtifactPolicySpec(sources=("oci://charts.test",)), None
    )
    await joining_policies.put(plane, OPERATOR, JoiningPolicySpec(approval=True), None)
    await publish.publish(plane, OPERATOR, manifest("other"))
    await pacer.tick(plane)
    data = {"none": None, "float": 1.5, "big": 2**60, "deep": [{"none": None}]}
    async with plane.db.tenant(TENANT) as tx:
        await audit.append(tx, OPERATOR, "test.note", "tenant/demo", data=data)
    with psycopg.connect(fleet.owner_url) as connection:
        connection.execute("set session_replication_role = replica")
        for table in ("certificates", "drifts"):
            sample(connection, table, TENANT)
        connection.execute(
            "insert into reconsiderations (tenant_id, extension, cluster_id)"
            " select tenant_id, 'app', cluster_id from clusters limit 1"
        )
        connection.execute(
            "update certificates"
            " set cluster_id = (select cluster_id from clusters order by cluster_id limit 1)"
        )
    await become(plane, TenantState.SUSPENDED)
    return fleet


@pytest.fixture
def elsewhere_url(servers: Backends, migrated_template: str) -> Iterator[str]:
    with new_database(servers.postgres_url, migrated_template) as url:
        yield url


@pytest.fixture
async def elsewhere(elsewhere_url: str, plane: Plane) -> AsyncIterator[Plane]:
    """Another installation; its server keeps another time zone."""
    with psycopg.connect(elsewhere_url, autocommit=True) as connection:
        database = connection.info.dbname
        connection.execute(
            sql.SQL("alter database {} set timezone = 'Asia/Kolkata'").format(
                sql.Identifier(database)
            )
        )
    async with Database.open(with_login(elsewhere_url, APP_LOGIN, APP_PASSWORD)) as database:
        yield replace(plane, db=database)


async def become(plane: Plane, state: TenantState) -> None:
    await tenants.change_state(plane, PLATFORM, TENANT, state, "because")  # type: ignore[arg-type] # needs no more than a plane


def over_the_wire(model: WireModel) -> Any:
    """As the other side reads it."""
    return type(model).model_validate_json(model.model_dump_json(exclude_none=True))


async def exported(plane: Plane) -> list[ArchivePage]:
    pages = [over_the_wire(await export.page(plane, PLATFORM, TENANT))]
    while pages[-1].next_cursor:
        cursor = pages[-1].next_cursor
        pages.append(over_the_wire(await export.page(plane, PLATFORM, TENANT, cursor)))
    return pages


def records_of(pages: list[ArchivePage]) -> list[ArchiveRecord]:
    return [record for page in pages for record in page.items]


async def begin(plane: Plane, page: ArchivePage, file: str = FILE) -> None:
    request = ImportRequest(
        sha256=file, created_at=page.created_at, quotas=page.quotas, trail=page.trail
    )
    await tenant_import.begin(plane, PLATFORM, TENANT, request)


async def take(plane: Plane, *records: ArchiveRecord) -> tuple[int, int]:
    batch = over_the_wire(ImportBatch(sha256=FILE, records=records))
    done = await tenant_import.take(plane, PLATFORM, TENANT, batch)
    return done.added, done.present


async def finish(plane: Plane, pages: list[ArchivePage]) -> None:
    counts = {kind: 0 for kind in ArchiveKind}
    for record in records_of(pages):
        counts[record.kind] += 1
    end = ImportEnd(sha256=FILE, counts=counts, trail=pages[0].trail)
    await tenant_import.finish(plane, PLATFORM, TENANT, end)


async def imported(plane: Plane, pages: list[ArchivePage]) -> None:
    await begin(plane, pages[0])
    for page in pages:
        await take(plane, *page.items)
    await finish(plane, pages)


def contents(url: str, *, trail_to: int) -> dict[str, list[Any]]:
    """Every row of every table that is exported."""
    with psycopg.connect(url) as connection:
        connection.execute("set timezone = 'UTC'")
        return {
            kind.value: sorted(
                str(row)
                for (row,) in connection.execute(
                    sql.SQL("select to_jsonb(t) from {} t").format(sql.Identifier(kind.value))
                )
                if kind is not ArchiveKind.EVENTS or row["sequence"] <= trail_to
            )
            for kind in ArchiveKind
        }


async def code_of(attempt: Any) -> ErrorCode:
    with pytest.raises(ArcBridgeError) as caught:
        await attempt
    return caught.value.code


def test_every_table_of_a_tenant_is_exported_or_left_out_for_a_reason(
    owner_postgres_url: str,
) -> None:
    with psycopg.connect(owner_postgres_url) as connection:
        assert {kind.value for kind in ArchiveKind} | LEFT_OUT.keys() == set(tables(connection))


async def test_a_tenant_arrives_in_another_installation_as_it_was(
    full: Fleet, plane: Plane, elsewhere: Plane, elsewhere_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_BYTES", 2_000)
    pages = await exported(plane)
    assert len(pages) > 3
    assert {record.kind for record in records_of(pages)} == set(ArchiveKind)
    await imported(elsewhere, pages)
    end = pages[0].trail.sequence
    assert contents(elsewhere_url, trail_to=end) == contents(full.owner_url, trail_to=end)
    trail = await events.verify(elsewhere, OPERATOR)  # type: ignore[arg-type] # needs no more than a plane
    assert trail.intact
    assert trail.checked == end + 1
    newest = (await events.list_events(elsewhere, OPERATOR, limit=2)).items  # type: ignore[arg-type] # as above
    assert [event.action for event in newest] == ["tenant.import", "tenant.export"]
    assert (await tenants.get(elsewhere, PLATFORM, TENANT)).state is TenantState.SUSPENDED


async def test_the_rollout_that_was_under_way_goes_on_there(
    full: Fleet, plane: Plane, elsewhere: Plane, elsewhere_url: str
) -> None:
    assert await pacer.tick(plane) == 0  # it rests while the tenant is suspended
    await imported(elsewhere, await exported(plane))
    await become(elsewhere, TenantState.ACTIVE)
    there = replace(full, plane=elsewhere, owner_url=elsewhere_url)
    await there.run()
    assert [row["state"] for row in there.rollouts()] == ["Succeeded", "Succeeded"]


async def test_an_import_that_was_interrupted_is_gone_on_with(
    full: Fleet, plane: Plane, elsewhere: Plane, elsewhere_url: str
) -> None:
    pages = await exported(plane)
    records = records_of(pages)
    await begin(elsewhere, pages[0])
    assert await take(elsewhere, *records[:4]) == (4, 0)
    assert await code_of(finish(elsewhere, pages)) is ErrorCode.CONFLICT
    await begin(elsewhere, pages[0])
    assert await take(elsewhere, *records[:6]) == (2, 4)
    assert await take(elsewhere, *records) == (len(records) - 6, 6)
    assert await take(elsewhere, *records) == (0, len(records))
    assert await code_of(become(elsewhere, TenantState.ACTIVE)) is ErrorCode.CONFLICT
    await finish(elsewhere, pages)
    end = pages[0].trail.sequence
    assert contents(elsewhere_url, trail_to=end) == contents(full.owner_url, trail_to=end)


async def test_a_file_of_an_older_release_goes_into_a_schema_with_more_columns(
    full: Fleet, plane: Plane, elsewhere: Plane, elsewhere_url: str
) -> None:
    pages = await exported(plane)
    with psycopg.connect(elsewhere_url) as connection:
        connection.execute(EXPANSION.read_bytes())
    await imported(elsewhere, pages)
    again = await exported(elsewhere)
    assert {record.record.get("later_count") for record in records_of(again)} == {0}
    assert len(records_of(again)) == len(records_of(pages)) + 2, "the trail goes on"


async def test_a_deleted_tenant_comes_back_with_its_trail_going_on(
    full: Fleet, plane: Plane
) -> None:
    pages = await exported(plane)
    before = contents(full.owner_url, trail_to=pages[0].trail.sequence)
    assert await code_of(begin(plane, pages[0])) is ErrorCode.CONFLICT  # it is not empty
    await become(plane, TenantState.DELETED)
    assert await code_of(begin(plane, pages[0])) is ErrorCode.CONFLICT  # nor is it now
    await retention.run(plane)  # type: ignore[arg-type] # needs no more than a plane
    await imported(plane, pages)
    await become(plane, TenantState.ACTIVE)
    assert contents(full.owner_url, trail_to=pages[0].trail.sequence) == before
    trail = await events.verify(plane, OPERATOR)  # type: ignore[arg-type] # needs no more than a plane
    assert trail.intact
    actions = [e.action for e in (await events.list_events(plane, OPERATOR, limit=4)).items]  # type: ignore[arg-type] # as above
    assert actions == ["tenant.resume", "tenant.import", "tenant.delete", "tenant.export"]


async def test_only_a_tenant_that_stands_still_is_exported(full: Fleet, plane: Plane) -> None:
    await become(plane, TenantState.ACTIVE)
    assert await code_of(export.page(plane, PLATFORM, TENANT)) is ErrorCode.CONFLICT
    assert await code_of(export.page(plane, PLATFORM, "nobody")) is ErrorCode.NOT_FOUND


async def test_a_tenant_with_a_trail_of_its_own_is_not_filled(
    full: Fleet, plane: Plane, elsewhere: Plane, elsewhere_url: str
) -> None:
    pages = await exported(plane)
    with psycopg.connect(elsewhere_url) as connection:
        connection.execute("insert into tenants (tenant_id) values (%s)", (TENANT,))
    async with elsewhere.db.tenant(TENANT) as tx:
        await audit.append(tx, OPERATOR, "test.note", "tenant/demo")
    assert await code_of(begin(elsewhere, pages[0])) is ErrorCode.CONFLICT


async def test_an_empty_tenant_that_is_there_is_filled_by_one_file_at_a_time(
    full: Fleet, plane: Plane, elsewhere: Plane, elsewhere_url: str
) -> None:
    pages = await exported(plane)
    with psycopg.connect(elsewhere_url) as connection:
        connection.execute("insert into tenants (tenant_id) values (%s)", (TENANT,))
    assert await code_of(take(elsewhere)) is ErrorCode.CONFLICT
    await begin(elsewhere, pages[0])
    assert await code_of(begin(elsewhere, pages[0], "e" * 64)) is ErrorCode.CONFLICT
    assert await code_of(export.page(elsewhere, PLATFORM, TENANT)) is ErrorCode.CONFLICT
    await become(elsewhere, TenantState.DELETED)
    await retention.run(elsewhere)  # type: ignore[arg-type] # needs no more than a plane
    assert await code_of(take(elsewhere)) is ErrorCode.CONFLICT


TAMPERED: list[tuple[ArchiveKind, dict[str, Any], ErrorCode]] = [
    (ArchiveKind.CLUSTERS, {"unheard_of": 1}, ErrorCode.CONFLICT),
    (ArchiveKind.CLUSTERS, {"state": "Nowhere"}, ErrorCode.INVALID_REQUEST),
    (ArchiveKind.CLUSTERS, {"name": None}, ErrorCode.INVALID_REQUEST),
    (ArchiveKind.CLUSTERS, {"cluster_id": "no id"}, ErrorCode.INVALID_REQUEST),
    (ArchiveKind.REVISIONS, {"spec": {"namespace": "x"}}, ErrorCode.INVALID_REQUEST),
    (ArchiveKind.REVISIONS, {"extension": "none"}, ErrorCode.INVALID_REQUEST),
    (ArchiveKind.EVENTS, {"message": "changed"}, ErrorCode.INVALID_REQUEST),
    (ArchiveKind.EVENTS, {"sequence": 2}, ErrorCode.INVALID_REQUEST),
    (ArchiveKind.EVENTS, {"sequence": "x"}, ErrorCode.INVALID_REQUEST),
    (ArchiveKind.EVENTS, {"at": "noon"}, ErrorCode.INVALID_REQUEST),
]


async def test_a_record_that_was_tampered_with_is_refused_and_nothing_of_its_batch_is_kept(
    full: Fleet, plane: Plane, elsewhere: Plane, elsewhere_url: str
) -> None:
    pages = await exported(plane)
    await begin(elsewhere, pages[0])
    for kind in ArchiveKind:
        whole = [record for record in records_of(pages) if record.kind is kind]
        for change, code in [(change, code) for k, change, code in TAMPERED if k is kind]:
            broken = copy.deepcopy(dict(whole[0].record)) | change
            bad = ArchiveRecord(kind=kind, record=broken)
            assert await code_of(take(elsewhere, bad)) is code, (kind, change)
        with psycopg.connect(elsewhere_url) as connection:
            query = f"select count(*) from {kind.value}".encode()  # noqa: S608 - of the kinds
            assert connection.execute(query).fetchone() == (0,)
        await take(elsewhere, *whole)


async def test_what_belongs_to_another_tenant_there_stays_its_own(
    full: Fleet, plane: Plane, elsewhere: Plane, elsewhere_url: str
) -> None:
    pages = await exported(plane)
    with psycopg.connect(elsewhere_url) as connection:
        connection.execute("insert into tenants (tenant_id) values ('other')")
        connection.execute("set session_replication_role = replica")
        sample(connection, "certificates", "other")
        connection.execute("update certificates set serial = %s", (TENANT,))
    await begin(elsewhere, pages[0])
    assert await code_of(take(elsewhere, *records_of(pages))) is ErrorCode.CONFLICT
