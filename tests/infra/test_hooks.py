"""The hooks, run as azd runs them, beside an `az` and an `azd` that note what they are asked."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from dev.state import REPOSITORY
from shared.contract.states import Role
from shared.identity.oidc import SCOPE
from tests.infra.bicep import MAIN, PARAMETER_FILES, Bicep
from tests.infra.test_issuing_ca import jwk

HOOKS = REPOSITORY / "infra" / "hooks"
STATE = "ARCBRIDGE_TEST_STATE"
AZURE = '''#!{python}
"""Answers what the hooks ask of az, azd and curl; notes each call as a line in the state."""
import json, os, pathlib, re, sys

state = pathlib.Path(os.environ["ARCBRIDGE_TEST_STATE"])
arguments = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
with (state / "calls").open("a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
def option(name, default=None):
    return arguments[arguments.index(name) + 1] if name in arguments else default
graph_file = state / "graph.json"
graph = json.loads(graph_file.read_text()) if graph_file.exists() else {{}}
match arguments:
    case ["azd", "env", "set", name, value]:
        with (state / "env").open("a") as env:
            env.write(f"{{name}}={{value}}\\n")
    case ["az", "account", "show", *_]:
        print(json.dumps({{"tenantId": "11111111-1111-4111-8111-111111111111"}}))
    case ["az", "keyvault", "key", "show", *_]:
        print((state / "key.json").read_text())
    case ["az", "rest", *_]:
        url, method = option("--url"), option("--method")
        body = json.loads(option("--body", "{{}}"))
        if url.endswith("/me"):
            print(json.dumps({{"id": "me"}}))
        elif url.endswith("/appRoleAssignedTo"):
            if method == "post":
                graph.setdefault(url, []).append(body)
            print(json.dumps({{"value": graph.get(url, [])}}))
        elif method == "patch":
            if url not in graph and "Prefer=create-if-missing" not in arguments:
                sys.exit("not found")
            graph.setdefault(url, {{"appId": "the-app", "id": "the-principal"}}).update(body)
        else:
            print(json.dumps(graph[url]))
        graph_file.write_text(json.dumps(graph))
    case ["az", "containerapp", "job", "start", *_]:
        print("run-1")
    case ["az", "containerapp", "job", "execution", "show", *_]:
        print((state / "job").read_text() if (state / "job").exists() else "Succeeded")
    case ["az", "containerapp" | "acr", *_]:
        pass
    case ["curl", *_]:
        sys.exit((state / "not-ready").exists())
    case _:
        sys.exit(f"not asked for so far: {{arguments}}")
'''
IMAGE = "reg.azurecr.io/relay@sha256:abc"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a hook from the repository's root; the stand-ins keep their state in `tmp_path`."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("az", "azd", "curl"):
        (tools / name).write_text(AZURE.format(python=sys.executable))
        (tools / name).chmod(0o755)

    def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        inherited = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        return subprocess.run(
            command, cwd=REPOSITORY, env={**inherited, STATE: str(tmp_path), **environ},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def calls(state: Path) -> list[list[str]]:
    return [json.loads(line) for line in (state / "calls").read_text().splitlines()]


def settings(state: Path) -> dict[str, str]:
    lines = (state / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def register(run: Run) -> subprocess.CompletedProcess[str]:
    program = str(HOOKS / "entra_app.py")
    return run(sys.executable, program, "--name", "arcbridge-test", "--tenant", "demo")


def test_the_application_has_arcbridges_roles_and_scope(run: Run, tmp_path: Path) -> None:
    done = register(run)
    assert done.returncode == 0, done.stderr
    graph = json.loads((tmp_path / "graph.json").read_text())
    [application] = [body for url, body in graph.items() if "/applications(" in url]
    assert [role["value"] for role in application["appRoles"]] == [role.value for role in Role]
    assert len({role["id"] for role in application["appRoles"]}) == len(Role)
    [scope] = application["api"]["oauth2PermissionScopes"]
    assert scope["value"] == SCOPE
    assert application["api"]["requestedAccessTokenVersion"] == 2
    assert application["identifierUris"] == ["api://the-app"]
    assert "passwordCredentials" not in application


def test_whoever_registers_it_is_the_first_administrator_once(run: Run, tmp_path: Path) -> None:
    assert "admin, platform-admin" in register(run).stdout
    assert "no role that you did not have" in register(run).stdout
    graph: dict[str, Any] = json.loads((tmp_path / "graph.json").read_text())
    [given] = [value for url, value in graph.items() if url.endswith("/appRoleAssignedTo")]
    assert [each["principalId"] for each in given] == ["me", "me"]
    assert settings(tmp_path)["ARCBRIDGE_OIDC_AUDIENCE"] == "the-app"
    tenants = json.loads(settings(tmp_path)["ARCBRIDGE_OIDC_TENANTS"])
    assert tenants == {"11111111-1111-4111-8111-111111111111": "demo"}


PROVISIONED = {
    "ARCBRIDGE_REGISTRY_NAME": "reg",
    "ARCBRIDGE_REGISTRY_SERVER": "reg.azurecr.io",
    "ARCBRIDGE_RELAY_RELEASE": "ghcr.io/owner/arcbridge/relay@sha256:abc",
    "ARCBRIDGE_VAULT_NAME": "vault",
    "ARCBRIDGE_RESOURCE_GROUP": "group",
}


@pytest.fixture
def entra_app() -> ModuleType:
    spec = importlib.util.spec_from_file_location("entra_app", HOOKS / "entra_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_directory_that_does_not_know_the_new_application_yet_is_asked_again(
    entra_app: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        "Request_ResourceNotFound: no such object",
        "NoBackingApplicationObject",
        "",
        "Denied",
    ]
    pauses: list[float] = []

    def run(*command: str) -> str:
        if said := answers.pop(0):
            raise entra_app.CommandFailedError(said)
        return '{"id": "principal"}'

    monkeypatch.setattr(entra_app, "_run", run)
    monkeypatch.setattr("time.sleep", pauses.append)
    assert entra_app._graph("get", "https://graph.test/x") == {"id": "principal"}
    assert pauses == [entra_app.PAUSE_SECONDS] * 2
    with pytest.raises(entra_app.CommandFailedError, match="Denied"):
        entra_app._graph("get", "https://graph.test/x")
    assert len(pauses) == 2


def test_what_az_says_reaches_the_person_who_runs_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tools" / "az").write_text("#!/bin/sh\necho 'run az login first' >&2; exit 1\n")
    done = register(run)
    assert done.returncode == 1
    assert "run az login first" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_provision_certifies_the_key_and_imports_the_relay(
    run: Run, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.json").write_text(json.dumps({"key": jwk(key.public_key())}))
    done = run(
        str(HOOKS / "postprovision.sh"), **PROVISIONED,
        ARCBRIDGE_ROOT_DIRECTORY=str(tmp_path / "root"),
        ARCBRIDGE_ROOT_PASSPHRASE="a passphrase that is long",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kept = settings(tmp_path)
    assert kept["ARCBRIDGE_DATABASE_IMAGE"] == IMAGE
    assert "ARCBRIDGE_RELAY_IMAGE" not in kept
    chain = base64.b64decode(kept["ARCBRIDGE_CA_CHAIN_BASE64"])
    assert x509.load_pem_x509_certificates(chain)[0].public_key() == key.public_key()
    assert not [call for call in calls(tmp_path) if "job" in call]


def updates(state: Path) -> list[str]:
    """Images and phases that the job was given, in order, and when it was started."""
    found = []
    for call in calls(state):
        if call[1:4] == ["containerapp", "job", "start"]:
            found.append("start")
        elif call[1:4] == ["containerapp", "job", "update"]:
            [word] = [w for w in call if w.startswith("--args=")] or [
                call[call.index("--image") + 1]
            ]
            found.append(word.removeprefix("--args=--phase="))
    return found


def test_the_second_provision_expands_the_schema_and_lets_relays_start(
    run: Run, tmp_path: Path
) -> None:
    done = run(
        str(HOOKS / "postprovision.sh"), **PROVISIONED, ARCBRIDGE_DATABASE_JOB="job",
        ARCBRIDGE_DATABASE_IMAGE=IMAGE, ARCBRIDGE_CA_CHAIN_BASE64="done",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert updates(tmp_path) == [IMAGE, "pre", "start"]
    assert settings(tmp_path) == {"ARCBRIDGE_RELAY_IMAGE": IMAGE}
    assert not [call for call in calls(tmp_path) if "acr" in call]


def test_an_upgrade_expands_the_schema_with_the_new_image_before_relays_run_it(
    run: Run, tmp_path: Path
) -> None:
    old = {name: "reg.azurecr.io/relay@sha256:old" for name in ("RELAY", "DATABASE")}
    standing = {f"ARCBRIDGE_{name}_IMAGE": image for name, image in old.items()}
    upgrade = {**PROVISIONED, **standing, "ARCBRIDGE_DATABASE_JOB": "job"}
    upgrade["ARCBRIDGE_CA_CHAIN_BASE64"] = "done"
    (tmp_path / "job").write_text("Failed")
    done = run(str(HOOKS / "postprovision.sh"), **upgrade)
    assert done.returncode == 1
    assert "ARCBRIDGE_RELAY_IMAGE" not in settings(tmp_path)
    (tmp_path / "job").unlink()
    done = run(str(HOOKS / "postprovision.sh"), **upgrade)
    assert done.returncode == 0, done.stderr
    assert updates(tmp_path) == [IMAGE, "pre", "start"] * 2
    assert settings(tmp_path)["ARCBRIDGE_RELAY_IMAGE"] == IMAGE


def test_the_schema_is_contracted_when_the_new_control_plane_answers_and_not_before(
    run: Run, tmp_path: Path
) -> None:
    deployed = {
        **PROVISIONED,
        "ARCBRIDGE_DATABASE_JOB": "job",
        "ARCBRIDGE_CONTROL_PLANE_URL": "https://app.test",
        "ARCBRIDGE_RELAY_ADDRESS": "relay.test:8443",
    }
    (tmp_path / "not-ready").touch()
    assert run(str(HOOKS / "postdeploy.sh"), **deployed).returncode != 0
    assert updates(tmp_path) == []
    (tmp_path / "not-ready").unlink()
    done = run(str(HOOKS / "postdeploy.sh"), **deployed)
    assert done.returncode == 0, done.stderr
    assert updates(tmp_path) == ["post", "start"]


def test_a_database_that_cannot_be_prepared_stops_the_deployment(run: Run, tmp_path: Path) -> None:
    (tmp_path / "job").write_text("Failed")
    done = run(str(HOOKS / "database.sh"), "group", "job", "pre")
    assert done.returncode == 1
    assert "run-1 ended as Failed" in done.stderr


def test_what_is_missing_is_said_before_anything_is_changed(run: Run, tmp_path: Path) -> None:
    done = run(str(HOOKS / "preprovision.sh"), AZURE_ENV_NAME="test")
    assert done.returncode != 0
    assert "azd env set ARCBRIDGE_RELAY_RELEASE" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_azd_runs_hooks_that_exist() -> None:
    azure = yaml.safe_load((REPOSITORY / "azure.yaml").read_text())
    assert (REPOSITORY / azure["infra"]["path"] / f"{azure['infra']['module']}.bicep") == MAIN
    for hook in azure["hooks"].values():
        command = hook["run"].split()[0]
        assert command == ".venv/bin/python" or os.access(REPOSITORY / command, os.X_OK)
    app = (MAIN.parent / "modules" / "functions.bicep").read_text()
    for service in azure["services"]:
        assert f"'azd-service-name': '{service}'" in app


def test_hooks_read_what_bicep_puts_out_or_a_hook_or_the_guide_asks_for() -> None:
    scripts = "".join(path.read_text() for path in HOOKS.glob("*.sh"))
    read = set(re.findall(r"\$\{?(ARCBRIDGE_\w+)", scripts))
    for path in PARAMETER_FILES:
        read |= set(re.findall(r"\('(ARCBRIDGE_\w+)'", path.read_text()))
    programs = "".join(path.read_text() for path in HOOKS.iterdir() if path.is_file())
    written = set(re.findall(r'"?env"?,? "?set"?,? "?(ARCBRIDGE_\w+)', programs))
    written |= {"ARCBRIDGE_CA_CHAIN_BASE64"}  # by its constant's name
    pages = ("deploying.md", "backup-and-restore.md")
    guide = "".join((REPOSITORY / "docs" / page).read_text() for page in pages)
    outputs = set(Bicep(MAIN).outputs())
    for name in read - written - outputs:
        assert name in guide, name
