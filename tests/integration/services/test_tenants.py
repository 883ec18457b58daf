from __future__ import annotations

import psycopg
import pytest

from shared.contract.errors import ErrorCode
from shared.contract.extension import ExtensionManifest
from shared.contract.states import Role
from shared.contract.tenant import Quotas, TenantPatch, TenantRequest, TenantState
from shared.domain.errors import ArcBridgeError
from shared.services import events, publish, purge, retention, tenants
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from tests.integration.services.joining import admin, join
from tests.integration.store.test_tenancy import sample, tables

PLATFORM = Caller(actor="person:platform", tenant="acme", roles=frozenset({Role.PLATFORM_ADMIN}))


async def become(cp: ControlPlane, name: str, state: TenantState) -> TenantState:
    return (await tenants.change_state(cp, PLATFORM, name, state, "because")).state


async def code_of(attempt: object) -> ErrorCode:
    with pytest.raises(ArcBridgeError) as caught:
        await attempt  # type: ignore[misc] # a coroutine
    return caught.value.code


async def test_a_tenant_is_made_once_and_starts_empty(control_plane: ControlPlane) -> None:
    made = await tenants.create(control_plane, PLATFORM, TenantRequest(name="fresh"))
    assert (made.state, made.usage.clusters) == (TenantState.ACTIVE, 0)
    again = tenants.create(control_plane, PLATFORM, TenantRequest(name="fresh"))
    assert await code_of(again) is ErrorCode.ALREADY_EXISTS
    await join(control_plane, "eu-1", tenant="fresh")
    assert (await tenants.get(control_plane, PLATFORM, "fresh")).usage.clusters == 1
    page = await tenants.list_tenants(control_plane, PLATFORM, limit=2)
    assert [tenant.name for tenant in page.items] == ["acme", "fresh"]
    assert page.next_cursor


async def test_what_is_done_to_a_tenant_stands_in_its_own_trail(
    control_plane: ControlPlane,
) -> None:
    await become(control_plane, "other", TenantState.SUSPENDED)
    await become(control_plane, "other", TenantState.SUSPENDED)
    await become(control_plane, "other", TenantState.ACTIVE)
    trail = (await events.list_events(control_plane, admin("other"))).items
    assert [event.action for event in trail] == ["tenant.resume", "tenant.suspend"]
    assert {event.actor for event in trail} == {"person:platform"}
    assert (await events.list_events(control_plane, admin())).items == ()


async def test_a_quota_of_clusters_holds_for_new_ones_only(control_plane: ControlPlane) -> None:
    await join(control_plane, "eu-1")
    await tenants.patch(control_plane, PLATFORM, "acme", TenantPatch(quotas=Quotas(clusters=1)))
    assert await code_of(join(control_plane, "eu-2")) is ErrorCode.QUOTA_EXCEEDED
    assert await join(control_plane, "eu-2", tenant="other")


async def test_quotas_of_extensions_and_publishes_hold(control_plane: ControlPlane) -> None:
    def manifest(name: str, namespace: str = "shop") -> ExtensionManifest:
        return ExtensionManifest.model_validate({
            "metadata": {"name": name},
            "spec": {
                "placement": {},
                "namespace": namespace,
                "source": {"kustomize": {"files": {"kustomization.yaml": ""}}},
            },
        })  # fmt: skip

    quotas = Quotas(extensions=1, publishes_per_hour=2)
    await tenants.patch(control_plane, PLATFORM, "acme", TenantPatch(quotas=quotas))
    await publish.publish(control_plane, admin(), manifest("one"))
    more = publish.publish(control_plane, admin(), manifest("two"))
    assert await code_of(more) is ErrorCode.QUOTA_EXCEEDED
    await publish.publish(control_plane, admin(), manifest("one", "store"))
    again = await publish.publish(control_plane, admin(), manifest("one", "store"))
    assert not again.created  # the same content is no further revision
    third = publish.publish(control_plane, admin(), manifest("one", "third"))
    assert await code_of(third) is ErrorCode.QUOTA_EXCEEDED


async def test_only_a_suspended_tenant_is_deleted_and_only_its_trail_stays(
    control_plane: ControlPlane, owner_postgres_url: str
) -> None:
    active = become(control_plane, "acme", TenantState.DELETED)
    assert await code_of(active) is ErrorCode.CONFLICT
    await join(control_plane, "eu-1")
    await join(control_plane, "us-1", tenant="other")
    await become(control_plane, "acme", TenantState.SUSPENDED)
    await become(control_plane, "acme", TenantState.DELETED)
    back = become(control_plane, "acme", TenantState.ACTIVE)
    assert await code_of(back) is ErrorCode.CONFLICT
    await retention.run(control_plane)
    with psycopg.connect(owner_postgres_url) as connection:
        left = {
            table: connection.execute(
                f"select count(*) from {table} where tenant_id = 'acme'".encode()  # noqa: S608 - of the schema itself
            ).fetchone()
            for table in tables(connection)
        }
        assert {table for table, count in left.items() if count != (0,)} == {
            "tenants", "events", "event_heads",
        }  # fmt: skip
        clusters = connection.execute("select tenant_id from clusters").fetchall()
    assert clusters == [("other",)]
    verified = await events.verify(control_plane, admin())
    assert verified.intact


def test_every_table_of_a_tenant_is_purged_or_kept_on_purpose(owner_postgres_url: str) -> None:
    kept = {"tenants", "events", "event_heads"}
    with psycopg.connect(owner_postgres_url) as connection:
        assert {query.name for query in purge.ORDER} == set(tables(connection)) - kept
        for query in purge.ORDER:
            connection.execute("set session_replication_role = replica")
            sample(connection, query.name, "acme")
            done = connection.execute(query.sql, {"tenant": "acme", "limit": 10})
            assert done.rowcount == 1


async def test_an_unknown_tenant_is_not_there(control_plane: ControlPlane) -> None:
    assert await code_of(tenants.get(control_plane, PLATFORM, "none")) is ErrorCode.NOT_FOUND
    suspend = become(control_plane, "none", TenantState.SUSPENDED)
    assert await code_of(suspend) is ErrorCode.NOT_FOUND
