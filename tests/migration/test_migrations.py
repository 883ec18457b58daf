import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from dev.backends import PostgresServer
from dev.backends.postgres import binaries
from shared.store import migrate, migrations
from shared.store.migrations import Migration, MigrationError, Phase, apply, available
from tests.conftest import with_database, with_login

SCHEMA = Path(migrations.__file__).parents[1] / "schema.sql"


def dumped(url: str) -> str:
    """The schema as pg_dump writes it, without the record of the migrations and random tokens."""
    done = subprocess.run(
        [binaries() / "pg_dump", "--schema-only", "--no-owner",
         "--exclude-table=schema_migrations", url],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("\\", "--")))


def test_the_migrations_lead_to_the_schema_that_is_written_down(
    owner_postgres_url: str, empty_postgres_url: str
) -> None:
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute(SCHEMA.read_bytes())
    assert dumped(empty_postgres_url) == dumped(owner_postgres_url)


def test_a_second_run_finds_nothing_to_do(empty_postgres_url: str) -> None:
    assert apply(empty_postgres_url) == available()
    assert apply(empty_postgres_url) == []


def test_runs_at_the_same_time_apply_each_migration_once(empty_postgres_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(apply, [empty_postgres_url] * 4))
    assert sorted(map(len, done)) == [0, 0, 0, len(available())]


def test_a_migration_that_changed_after_it_was_applied_is_refused(
    empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(empty_postgres_url)
    changed = [Migration(m.number, m.name, m.phase, m.sql + "\n") for m in available()]
    monkeypatch.setattr(migrations, "available", lambda: changed)
    with pytest.raises(MigrationError, match="write a new migration"):
        apply(empty_postgres_url)


def test_a_phase_applies_only_its_own_files_and_a_failure_leaves_no_trace(
    empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Migration(9001, "before", Phase.PRE, "create table before ()")
    after = Migration(9001, "after", Phase.POST, "create table after (); select 1/0")
    monkeypatch.setattr(migrations, "available", lambda: [before, after])
    assert apply(empty_postgres_url, Phase.PRE) == [before]
    with pytest.raises(MigrationError, match="division by zero"):
        apply(empty_postgres_url, Phase.POST)
    with psycopg.connect(empty_postgres_url) as connection:
        row = connection.execute("select to_regclass('before'), to_regclass('after')").fetchone()
    assert row == ("before", None)


def test_a_migration_waits_for_a_lock_only_so_long(
    empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_MILLISECONDS", "100")
    slow = Migration(9001, "slow", Phase.PRE, "alter table busy add column more text")
    monkeypatch.setattr(migrations, "available", lambda: [slow])
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute("create table busy ()")
        connection.commit()
        connection.execute("select from busy")
        with pytest.raises(MigrationError, match="lock timeout"):
            apply(empty_postgres_url)


def test_the_command_says_what_it_did(
    empty_postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate.main(["--dsn", empty_postgres_url]) == 0
    assert "0001_initial.pre" in capsys.readouterr().out
    assert migrate.main(["--dsn", empty_postgres_url]) == 0
    assert "up to date" in capsys.readouterr().out


def test_the_command_fails_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate.main(["--dsn", "postgresql://nobody@127.0.0.1:1/none"]) == 1
    assert "could not be migrated" in capsys.readouterr().err


def test_an_owner_who_is_no_superuser_can_set_everything_up(
    private_postgres: PostgresServer,
) -> None:
    """As on a managed server: the owner may make roles and owns its database, no more."""
    with psycopg.connect(private_postgres.url(), autocommit=True) as connection:
        connection.execute("create role deployer login createrole password 'deployer'")
        connection.execute("create role app login noinherit password 'app'")
        connection.execute("create database arcbridge owner deployer")
    url = with_database(private_postgres.url(), "arcbridge")
    owner, app = with_login(url, "deployer", "deployer"), with_login(url, "app", "app")
    for _ in range(2):
        assert migrate.main(["--dsn", owner, "--login", "app", "--tenant", "acme"]) == 0
    with psycopg.connect(app) as connection:
        connection.execute("set role arcbridge_platform")
        assert connection.execute("select tenant_id from tenants").fetchall() == [("acme",)]
    with psycopg.connect(owner) as connection:
        assert connection.execute("select tenant_id from tenants").fetchall() == []
