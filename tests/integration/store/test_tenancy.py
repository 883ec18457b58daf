"""Row level security, table by table, with rows of two tenants put in behind the application."""

import psycopg
import pytest
from psycopg import sql

from tests.conftest import APP_LOGIN

OF_THE_PLATFORM = {"ca_generations", "relays"}
"""Tables that belong to no tenant: certificates that everyone may see, and the relays there are."""


def tables(connection: psycopg.Connection[tuple[str, ...]]) -> list[str]:
    rows = connection.execute(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition"
        " and c.relname <> 'schema_migrations' order by 1"
    )
    return [row[0] for row in rows if row[0] not in OF_THE_PLATFORM]


def sample(connection: psycopg.Connection[tuple[str, ...]], table: str, tenant: str) -> None:
    """Put one row into a table, whatever its columns are; constraints are off."""
    columns = connection.execute(
        "select column_name, udt_name from information_schema.columns"
        " where table_name = %s and is_nullable = 'NO' and column_default is null"
        " and is_identity = 'NO' and table_schema = 'public'",
        (table,),
    ).fetchall()
    values = {
        "text": "x", "uuid": "0190e0a0-0000-7000-8000-000000000000", "int4": "1", "int8": "1",
        "bytea": "\\x00", "jsonb": "{}", "timestamptz": "2026-01-01", "bool": "false",
    }  # fmt: skip
    checked = {
        ("certificates", "state"): "New", ("rollouts", "kind"): "publish",
        ("drifts", "kind"): "silence", ("outbox", "topic"): "desired",
        ("enrolments", "state"): "Pending",
    }  # fmt: skip
    row = {name: checked.get((table, name), values[kind]) for name, kind in columns}
    row["tenant_id"] = tenant
    if table == "certificates":
        row |= {"sha256": tenant, "serial": tenant}
    connection.execute(
        sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Literal(value) for value in row.values()),
        )
    )


@pytest.fixture
def two_tenants(owner_postgres_url: str) -> str:
    """A database with one row of `acme` and one of `other` in every table."""
    with psycopg.connect(owner_postgres_url) as connection:
        connection.execute("set session_replication_role = replica")  # foreign keys off
        for table in tables(connection):
            for tenant in ("acme", "other"):
                sample(connection, table, tenant)
    return owner_postgres_url


def as_role(connection: psycopg.Connection[tuple[str, ...]], role: str, tenant: str | None) -> None:
    connection.execute("select set_config('role', %s, true)", (role,))
    if tenant is not None:
        connection.execute("select set_config('arcbridge.tenant', %s, true)", (tenant,))


def tenants_seen(connection: psycopg.Connection[tuple[str, ...]], table: str) -> set[str]:
    rows = connection.execute(sql.SQL("select tenant_id from {}").format(sql.Identifier(table)))
    return {row[0] for row in rows}


def test_a_tenant_sees_only_its_own_rows_in_every_table(two_tenants: str) -> None:
    with psycopg.connect(two_tenants) as connection:
        names = tables(connection)
        as_role(connection, "arcbridge_app", "acme")
        assert {name: tenants_seen(connection, name) for name in names} == {
            name: {"acme"} for name in names
        }


@pytest.mark.parametrize("tenant", [None, "", "nobody", "acme' or '1'='1"])
def test_without_a_tenant_of_its_own_a_transaction_sees_nothing(
    two_tenants: str, tenant: str | None
) -> None:
    with psycopg.connect(two_tenants) as connection:
        names = tables(connection)
        as_role(connection, "arcbridge_app", tenant)
        assert {name: tenants_seen(connection, name) for name in names} == {
            name: set() for name in names
        }


def test_a_tenant_cannot_write_into_another_one(two_tenants: str) -> None:
    with psycopg.connect(two_tenants, autocommit=True) as connection:
        for table in tables(connection):
            if table == "tenants":
                continue  # not to be written at all; tested below
            with connection.transaction(force_rollback=True):
                connection.execute("set local session_replication_role = replica")
                connection.execute(sql.SQL("delete from {}").format(sql.Identifier(table)))
                as_role(connection, "arcbridge_app", "acme")
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"):
                    sample(connection, table, "other")


def test_the_platforms_role_sees_every_tenant(two_tenants: str) -> None:
    with psycopg.connect(two_tenants) as connection:
        names = tables(connection)
        as_role(connection, "arcbridge_platform", None)
        for name in names:
            assert tenants_seen(connection, name) == {"acme", "other"}


@pytest.mark.parametrize("role", ["arcbridge_app", "arcbridge_platform"])
@pytest.mark.parametrize(
    "statement", ["update events set message = ''", "delete from events", "truncate events"]
)
def test_no_role_can_change_or_remove_an_event(two_tenants: str, role: str, statement: str) -> None:
    with psycopg.connect(two_tenants) as connection:
        as_role(connection, role, "acme")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(sql.SQL(statement))


def test_a_tenant_cannot_change_what_tenants_there_are(two_tenants: str) -> None:
    with psycopg.connect(two_tenants) as connection:
        as_role(connection, "arcbridge_app", "acme")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("update tenants set state = 'Suspended'")


def test_the_login_by_itself_can_read_nothing(two_tenants: str, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute(
            "select rolsuper, rolbypassrls, rolinherit from pg_roles where rolname = current_user"
        ).fetchone()
        assert row == (False, False, False)
        assert connection.execute("select current_user").fetchone() == (APP_LOGIN,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select tenant_id from clusters")


def test_every_table_has_row_security_forced_and_leads_its_key_with_the_tenant(
    owner_postgres_url: str,
) -> None:
    with psycopg.connect(owner_postgres_url) as connection:
        rows = connection.execute(
            "select c.relname, c.relrowsecurity and c.relforcerowsecurity, a.attname"
            " from pg_class c join pg_index i on i.indrelid = c.oid and i.indisprimary"
            " join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]"
            " join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public'"
            " and c.relkind in ('r', 'p') and not c.relispartition"
            " and c.relname <> 'schema_migrations'"
        ).fetchall()
        assert {row[0] for row in rows} == set(tables(connection)) | OF_THE_PLATFORM
        of_tenants = {row[1:] for row in rows if row[0] not in OF_THE_PLATFORM}
        assert of_tenants == {(True, "tenant_id")}


@pytest.mark.parametrize("table", sorted(OF_THE_PLATFORM))
@pytest.mark.parametrize("change", ["insert", "update", "delete"])
def test_a_tenants_role_changes_nothing_of_the_platform(
    owner_postgres_url: str, table: str, change: str
) -> None:
    with psycopg.connect(owner_postgres_url) as connection:
        row = connection.execute(
            "select has_table_privilege('arcbridge_app', %s, %s)", (table, change)
        ).fetchone()
    assert row == (False,)


def test_a_partition_cannot_be_read_around_its_parents_policy(two_tenants: str) -> None:
    with psycopg.connect(two_tenants) as connection:
        partitions = connection.execute(
            "select relname from pg_class where relispartition and relkind = 'r'"
        ).fetchall()
        assert partitions
        for (partition,) in partitions:
            with connection.transaction(force_rollback=True):
                as_role(connection, "arcbridge_app", "acme")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    tenants_seen(connection, partition)
