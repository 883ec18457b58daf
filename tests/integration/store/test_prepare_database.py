"""Preparing a database as in Azure, on a real PostgreSQL.

The one thing that only Azure has is the function that makes a login for an identity; here it stands
in the `postgres` database as there, and makes a login without a password.
"""

from __future__ import annotations

import uuid

import psycopg
import pytest

from dev.backends import PostgresServer
from shared.services import prepare_database
from shared.store.migrate import DSN
from shared.store.migrations import available
from tests.conftest import with_database, with_login

ADMINISTRATOR = "deployer"
PASSWORD = "only-in-this-test"
AZURE = """
create role deployer login createdb createrole password 'only-in-this-test';
create table made_for (login text, object_id text);
grant insert on made_for to deployer;
create function pgaadauth_create_principal_with_oid(
    login text, object_id text, kind text, is_admin boolean, is_mfa boolean
) returns text language plpgsql as $$
begin
    if kind <> 'service' or is_admin or is_mfa then raise 'not a program'; end if;
    execute format('create role %I login noinherit', login);
    insert into made_for values (login, object_id);
    return login;
end
$$;
"""
LOGINS = {"prod-functions": uuid.UUID(int=1), "prod-relay": uuid.UUID(int=2)}


@pytest.fixture
def owner_url(private_postgres: PostgresServer) -> str:
    """A superuser's URL of the server's own database, furnished as Azure does."""
    url = with_database(private_postgres.url(), "postgres")
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute(AZURE)
    return url


@pytest.fixture
def environ(owner_url: str) -> dict[str, str]:
    url = with_login(with_database(owner_url, "arcbridge"), ADMINISTRATOR, PASSWORD)
    logins = ",".join(f"{name}={object_id}" for name, object_id in LOGINS.items())
    return {DSN: url, prepare_database.LOGINS: logins, prepare_database.TENANTS: "demo,shop"}


def test_an_empty_server_becomes_a_prepared_one(
    environ: dict[str, str], owner_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare_database.main([], environ) == 0
    assert capsys.readouterr().out.startswith("done: database arcbridge, login prod-functions")
    with psycopg.connect(owner_url, connect_timeout=10) as connection:
        made = connection.execute("select login, object_id::uuid from made_for").fetchall()
        assert dict(made) == LOGINS
    with psycopg.connect(with_database(owner_url, "arcbridge"), connect_timeout=10) as connection:
        applied = connection.execute("select count(*) from schema_migrations").fetchone()
        assert applied == (len(available()),)
        tenants = connection.execute("select tenant_id from tenants order by 1").fetchall()
        assert tenants == [("demo",), ("shop",)]
        for login in LOGINS:
            roles = connection.execute(
                "select r.rolname, m.inherit_option, m.set_option from pg_auth_members m"
                " join pg_roles r on r.oid = m.roleid where m.member = %s::regrole order by 1",
                (f'"{login}"',),
            ).fetchall()
            assert roles == [("arcbridge_app", False, True), ("arcbridge_platform", False, True)]
        owned = connection.execute(
            "select count(*) from pg_class c join pg_roles r on r.oid = c.relowner"
            " where r.rolname = any(%s)",
            (list(LOGINS),),
        ).fetchone()
        assert owned == (0,)


def test_a_second_run_finds_nothing_to_do(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare_database.main([], environ) == 0
    capsys.readouterr()
    assert prepare_database.main([], environ) == 0
    assert capsys.readouterr().out == "done: nothing: the database is up to date\n"


def test_a_server_that_refuses_is_a_failure(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = environ | {DSN: environ[DSN].replace(PASSWORD, "wrong")}
    assert prepare_database.main([], wrong) == 1
    said = capsys.readouterr().err
    assert "could not be made" in said
    assert "wrong" not in said


@pytest.mark.parametrize("text", ["name", "name=1234", "=" + str(uuid.UUID(int=1))])
def test_a_login_is_a_name_and_an_object_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        prepare_database.logins(text)
