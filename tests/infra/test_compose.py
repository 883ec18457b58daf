"""compose.yaml fits code and images; the database it makes is made here, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from dev.backends import PostgresServer
from dev.state import REPOSITORY
from relay.settings import RelaySettings
from shared.settings import Settings
from shared.store.database import Database
from tests.conftest import with_database, with_login

GIVEN = {
    "ARCBRIDGE_OWNER_PASSWORD": "owner",
    "ARCBRIDGE_LOGIN_PASSWORD": "login",
    "ARCBRIDGE_STORAGE_KEY": "key",
    "ARCBRIDGE_OIDC_AUDIENCE": "api://arcbridge",
    "ARCBRIDGE_OIDC_TENANTS": '{"11111111-1111-4111-8111-111111111111": "main"}',
}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def example() -> dict[str, str]:
    """infra/compose/example.env, filled in."""
    text = (REPOSITORY / "infra" / "compose" / "example.env").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines) | GIVEN


def services(values: dict[str, str]) -> dict[str, Any]:
    """The services with the variables put in."""

    def value(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        if name in values:
            return values[name]
        assert kind == "-", f"{name} is in neither the example nor has it a default"
        return str(default)

    document = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())

    def filled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: filled(each) for key, each in node.items()}
        if isinstance(node, list):
            return [filled(each) for each in node]
        return _VARIABLE.sub(value, node) if isinstance(node, str) else node

    found: dict[str, Any] = filled(document["services"])
    return found


def test_the_programs_take_what_compose_gives_them() -> None:
    found = services(example())
    plane = Settings.from_environ(found["control-plane"]["environment"])
    relay = RelaySettings.from_environ(found["relay"]["environment"])
    assert plane.trust_domain == relay.trust_domain
    assert plane.relay_address == f"{relay.relay_host_names[0]}:{relay.relay_port}"
    assert plane.ca_dir == relay.ca_dir == Path("/ca/issuing")


@pytest.mark.parametrize("name", ["database", "ca", "control-plane", "relay"])
def test_a_program_is_built_here_and_has_no_rights(name: str) -> None:
    service = services(example())[name]
    assert (REPOSITORY / service["build"]["dockerfile"]).is_file()
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service


def test_what_is_not_built_here_is_named_by_digest() -> None:
    foreign = [s["image"] for s in services(example()).values() if not s["image"].startswith("arc")]
    assert len(foreign) == 3
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image) for image in foreign)


def test_what_is_waited_for_can_be_waited_for() -> None:
    found = services(example())
    for service in found.values():
        for name, wanted in service.get("depends_on", {}).items():
            once = wanted["condition"] == "service_completed_successfully"
            assert once == (found[name].get("restart") == "on-failure:5")
            assert once or "healthcheck" in found[name]


def test_only_the_two_doors_are_open() -> None:
    published = {name: s["ports"] for name, s in services(example()).items() if "ports" in s}
    assert published == {"control-plane": ["127.0.0.1:8080:8080"], "relay": ["8443:8443"]}


def migrate(arguments: list[str], url: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], env={"ARCBRIDGE_MIGRATION_POSTGRES_URL": url},
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


async def test_the_database_is_made_as_compose_makes_it(private_postgres: PostgresServer) -> None:
    found = services(example())
    script = (REPOSITORY / "infra" / "compose" / "login.sh").read_text()
    [statement] = re.findall(r"<<'SQL'\n(.+)\nSQL", script, re.DOTALL)
    owner = private_postgres.url()
    with psycopg.connect(owner, autocommit=True, connect_timeout=10) as connection:
        connection.execute(statement.replace(":'password'", "'login'"))
        connection.execute("create database arcbridge")
    url = with_database(owner, "arcbridge")
    service = found["database"]
    await asyncio.to_thread(migrate, [*service["entrypoint"][1:], *service["command"]], url)
    async with Database.open(with_login(url, "arcbridge_login", "login")) as database:
        await database.ping()
        async with database.platform():
            pass
    with psycopg.connect(url, connect_timeout=10) as connection:
        assert connection.execute("select tenant_id from tenants").fetchall() == [("main",)]
