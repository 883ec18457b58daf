"""The command line against a running control plane, as an operator uses it."""

from __future__ import annotations

import json
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import yaml
from typer.testing import CliRunner, Result

from arcbridge.cli.exits import Exit
from arcbridge.cli.main import app
from tests.joined_cluster import JoinedCluster, join, registration
from tests.running import RunningControlPlane

Cli = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "config" / "config.yaml"


@pytest.fixture
def cli(running: RunningControlPlane, home: Path) -> Cli:
    """Runs a command; `person` is who it is run as, None for whoever is logged in."""

    def run(*arguments: str, person: str | None = "admin@demo", stdin: str = "") -> Result:
        environ: dict[str, str | None] = {
            "ARCBRIDGE_CONFIG": str(home),
            "ARCBRIDGE_SERVER": running.url,
            "ARCBRIDGE_TOKEN": running.tokens[person] if person else None,
            "COLUMNS": "400",
        }
        return CliRunner().invoke(app, list(arguments), env=environ, input=stdin)

    return run


@pytest.fixture
def http(running: RunningControlPlane) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def cluster(running: RunningControlPlane) -> JoinedCluster:
    with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as client:
        return join(client, running.bearer("admin@demo"), "eu-1", env="prod")


def ok(result: Result) -> Result:
    assert result.exit_code == Exit.OK, f"{result.output}\n{result.exception!r}"
    return result


def data(result: Result) -> Any:
    return json.loads(ok(result).stdout)


def overlay(folder: Path, name: str, replicas: int = 1) -> Path:
    """An extension's file beside its overlay."""
    files = folder / "overlay"
    files.mkdir(parents=True, exist_ok=True)
    (files / "kustomization.yaml").write_text("resources: [map.yaml]\n")
    (files / "map.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
        f'data: {{replicas: "{replicas}"}}\n'
    )
    file = folder / f"{name}.yaml"
    manifest = {
        "apiVersion": "arcbridge.io/v1",
        "kind": "Extension",
        "metadata": {"name": name},
        "spec": {
            "placement": {"matchLabels": {"env": "prod"}},
            "namespace": name,
            "source": {"kustomize": {"path": "overlay"}},
            # The cluster never connects here: it is waited for, and a person is asked first.
            "rollout": {
                "stages": [{"name": "all", "approval": "required"}],
                "offline": {"after": "1h"},
            },
        },
    }
    file.write_text(yaml.safe_dump(manifest))
    return file


def test_connect_prints_the_manifest_alone_on_standard_output(cli: Cli) -> None:
    result = ok(cli("cluster", "connect", "eu-7", "-l", "env=test", "--external-agent"))
    documents = [each for each in yaml.safe_load_all(result.stdout) if each]
    kinds = {each["kind"] for each in documents}
    assert {"Namespace", "CustomResourceDefinition", "Secret"} <= kinds
    assert "Deployment" not in kinds
    assert "works once" in result.stderr
    tokens = data(cli("token", "list", "-o", "json"))
    assert any(token.get("clusterName") == "eu-7" for token in tokens)


def test_a_token_is_revoked_by_its_id(cli: Cli) -> None:
    ok(cli("cluster", "connect", "eu-8"))
    token = data(cli("-o", "json", "token", "list"))[0]
    ok(cli("token", "revoke", token["id"]))
    revoked = [
        each for each in data(cli("token", "list", "-o", "json")) if each["id"] == token["id"]
    ]
    assert "revokedAt" in revoked[0]


def test_clusters_are_listed_as_table_json_and_yaml(cli: Cli, cluster: JoinedCluster) -> None:
    table = ok(cli("cluster", "list"))
    assert re.search(r"eu-1 +Pending", table.stdout)
    (found,) = data(cli("cluster", "list", "-o", "json", "--labels", "env=prod"))
    assert found["id"] == cluster.cluster_id
    assert yaml.safe_load(ok(cli("cluster", "list", "-o", "yaml")).stdout)[0]["name"] == "eu-1"
    assert data(cli("cluster", "list", "-o", "json", "--labels", "env=nowhere")) == []


def test_a_label_is_set_and_removed(cli: Cli, cluster: JoinedCluster) -> None:
    labels = data(cli("cluster", "label", "eu-1", "ring=canary", "-o", "json"))["labels"]
    assert labels == {"env": "prod", "ring": "canary"}
    labels = data(cli("cluster", "label", "eu-1", "ring-", "-o", "json"))["labels"]
    assert labels == {"env": "prod"}


def test_applying_packs_publishes_and_finds_nothing_new_the_second_time(
    cli: Cli, cluster: JoinedCluster, tmp_path: Path
) -> None:
    file = overlay(tmp_path, "settings")
    (plan,) = data(cli("plan", "-f", str(file), "-o", "json"))
    assert (plan["revision"], plan["unchanged"]) == (1, False)
    assert "failing everywhere, it would reach at most 1" in ok(cli("plan", "-f", str(file))).stdout
    chance = ("--failures", "50%", "--offline", "0", "--seed", "3")
    (went,) = data(cli("simulate", "-f", str(file), *chance, "-o", "json"))
    assert (went["seed"], went["targets"]) == (3, 1)
    assert "settings as revision 1" in ok(cli("simulate", "-f", str(file), *chance)).stdout
    assert data(cli("extension", "list", "-o", "json")) == []
    (first,) = data(cli("apply", "-f", str(file), "--reason", "first", "-o", "json"))
    assert first["created"]
    (again,) = data(cli("apply", "-f", "-", "-o", "json", stdin=packed_text(cli, "settings")))
    assert not again["created"]
    overlay(tmp_path, "settings", replicas=2)
    (second,) = data(cli("apply", "-f", str(tmp_path), "-o", "json"))
    assert second["revision"] == 2
    history = data(cli("extension", "history", "settings", "-o", "json"))
    assert [each["number"] for each in history] == [2, 1]
    assert history[1]["reason"] == "first"
    rollout = data(cli("rollout", "get", "settings", "-o", "json"))
    assert rollout["id"] == second["rolloutId"]
    paused = data(cli("rollout", "pause", "settings", "--reason", "lunch", "-o", "json"))
    assert paused["state"] == "Paused"
    (held,) = data(cli("rollout", "targets", "settings", "-o", "json"))
    assert held["waitingFor"]["reason"] == "RolloutPaused"
    shown = ok(cli("rollout", "targets", "settings")).stdout
    assert "until an operator resumes or cancels it" in shown
    assert cli("rollout", "approve", "settings").exit_code == Exit.CONFLICT
    data(cli("rollout", "resume", "settings", "-o", "json"))
    slow = cli("rollout", "watch", "settings", "--give-up-after", "0.2", "--interval", "0.1")
    assert slow.exit_code == Exit.UNAVAILABLE
    data(cli("rollout", "cancel", "settings", "-o", "json"))
    ended = cli("rollout", "watch", "settings")
    assert ended.exit_code == Exit.ROLLOUT_FAILED
    assert "Cancelled" in ended.stderr


def test_a_dependency_that_nobody_declared_is_warned_of(
    cli: Cli, cluster: JoinedCluster, tmp_path: Path
) -> None:
    file = overlay(tmp_path, "lonely")
    manifest = yaml.safe_load(file.read_text())
    manifest["spec"]["dependsOn"] = ["nobody"]
    file.write_text(yaml.safe_dump(manifest))
    said = ok(cli("apply", "-f", str(file))).stderr
    assert "warning: lonely: spec.dependsOn: no extension nobody is declared: 1 cluster" in said
    assert "declare nobody, or leave it out of dependsOn" in said


def packed_text(cli: Cli, name: str) -> str:
    """The stored spec as a file of its own: what is applied again is what is there."""
    spec = data(cli("extension", "get", name, "-o", "json"))["spec"]
    return yaml.safe_dump({"kind": "Extension", "metadata": {"name": name}, "spec": spec})


def test_a_mistake_in_a_file_names_field_and_remedy(cli: Cli, tmp_path: Path) -> None:
    file = overlay(tmp_path, "wrong")
    text = file.read_text().replace("placement", "placment")
    file.write_text(text)
    result = cli("apply", "-f", str(file))
    assert result.exit_code == Exit.FAILED
    assert "spec.placment" in result.stderr
    assert "did you mean placement?" in result.stderr


def test_what_was_published_before_a_refusal_is_shown_all_the_same(
    cli: Cli, cluster: JoinedCluster, tmp_path: Path
) -> None:
    overlay(tmp_path, "part-1")
    wrong = overlay(tmp_path, "part-2")
    wrong.write_text(wrong.read_text().replace("placement", "placment"))
    result = cli("apply", "-f", str(tmp_path), "-o", "json")
    assert result.exit_code == Exit.FAILED
    (went,) = json.loads(result.stdout)
    assert (went["extension"], went["started"]) == ("part-1", True)
    data(cli("rollout", "cancel", "part-1", "-o", "json"))


def test_a_rollout_that_fails_while_it_is_waited_for_fails_the_command_in_every_format(
    cli: Cli,
    cluster: JoinedCluster,
    http: httpx.Client,
    running: RunningControlPlane,
    tmp_path: Path,
) -> None:
    file = overlay(tmp_path, "awaited")
    bearer = running.bearer("admin@demo")
    stop = threading.Event()

    def cancel_when_there() -> None:
        while not stop.wait(0.1):
            query = {"extension": "awaited"}
            found = http.get("/api/v1/rollouts", params=query, headers=bearer).json()["items"]
            if found:
                http.post(f"/api/v1/rollouts/{found[0]['id']}/cancel", headers=bearer)
                return

    meanwhile = threading.Thread(target=cancel_when_there)
    meanwhile.start()
    try:
        result = cli("apply", "-f", str(file), "--wait", "-o", "json")
    finally:
        stop.set()
        meanwhile.join()
    assert result.exit_code == Exit.ROLLOUT_FAILED, result.output
    assert [each["extension"] for each in json.loads(result.stdout)] == ["awaited"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("events", "--export", "/nowhere/trail.jsonl"), "No such file or directory"),
        (("cluster", "list", "--server", "arcbridge.test"), "write it as https://host"),
        (("cluster", "label", "eu-1", "a b=c"), "before it, if need be, a domain name and /"),
        (("freeze", "set", "night", "--weekly", "mon/25:00-26:00"), "from 00:00 to 23:59"),
        (("freeze", "set", "night", "--from", "2h", "--until", "1h"), "must be after startsAt"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_remedy_and_nothing_is_sent(
    cli: Cli, cluster: JoinedCluster, arguments: tuple[str, ...], said: str
) -> None:
    result = cli(*arguments)
    assert result.exit_code == Exit.USAGE, result.output
    assert said in result.stderr


def test_a_name_that_cannot_be_one_is_refused_with_the_form_of_a_name(cli: Cli) -> None:
    made = cli("freeze", "set", "A_B")
    assert made.exit_code == Exit.FAILED
    assert "name: does not have the form" in made.stderr
    sought = cli("cluster", "get", "A_B")
    assert sought.exit_code == Exit.NOT_FOUND
    assert "use a-z, 0-9 and -" in sought.stderr


def test_who_lacks_a_role_of_the_platform_is_not_sent_to_the_tenants_admin(cli: Cli) -> None:
    result = cli("admin", "tenants", person="operator@demo")
    assert result.exit_code == Exit.DENIED
    assert "whoever runs this installation" in result.stderr


def test_exit_statuses_tell_scripts_what_happened(cli: Cli, tmp_path: Path) -> None:
    assert cli("cluster", "get", "nowhere").exit_code == Exit.NOT_FOUND
    assert cli("token", "list", person="reader@demo").exit_code == Exit.DENIED
    assert cli("cluster", "list", person=None).exit_code == Exit.DENIED
    assert cli("token", "revoke", "not-an-id").exit_code == Exit.USAGE
    assert cli("apply", "-f", str(tmp_path / "missing.yaml")).exit_code == Exit.USAGE
    assert cli("cluster", "list", "--nonsense").exit_code == Exit.USAGE
    away = cli("cluster", "list", "--server", "http://127.0.0.1:9", "--timeout", "0.5")
    assert away.exit_code == Exit.UNAVAILABLE


def test_the_audit_trail_is_shown_and_verified(cli: Cli, cluster: JoinedCluster) -> None:
    assert data(cli("events", "-o", "json", "--limit", "1"))[0]["sequence"] >= 1
    assert data(cli("events", "--verify", "-o", "json"))["intact"]
    assert data(cli("cluster", "events", "eu-1", "-o", "json"))


def test_the_audit_trail_is_exported_and_checked_without_the_server(
    cli: Cli, cluster: JoinedCluster, running: RunningControlPlane, tmp_path: Path
) -> None:
    file = tmp_path / "trail.jsonl"
    ok(cli("events", "--export", str(file)))
    assert file.stat().st_mode & 0o777 == 0o600
    nowhere = ("--server", "http://127.0.0.1:1", "-o", "json")
    checked = data(cli("events", "--verify", "--file", str(file), *nowhere))
    assert checked["intact"] is True
    assert checked["checked"] == len(file.read_text().splitlines()) - 1 > 0
    ok(cli("cluster", "connect", "one-more"))
    ok(cli("events", "--verify", "--against", str(file)))
    lines = file.read_text().splitlines(keepends=True)
    changed = tmp_path / "changed.jsonl"
    changed.write_text("".join([*lines[:2], lines[2].replace('"action": "', '"action": "x')]))
    assert cli("events", "--verify", "--file", str(changed)).exit_code == Exit.NOT_INTACT
    missing = tmp_path / "missing.jsonl"
    missing.write_text("".join([lines[0], *lines[2:]]))
    result = cli("events", "--verify", "--file", str(missing))
    assert result.exit_code == Exit.NOT_INTACT
    assert "entry 1 is missing" in result.stderr
    # Another tenant's trail is whole, and another one.
    theirs = tmp_path / "theirs.jsonl"
    ok(cli("cluster", "connect", "theirs", person="admin@other"))
    ok(cli("events", "--export", str(theirs), person="admin@other"))
    result = cli("events", "--verify", "--against", str(file), person="admin@other")
    assert result.exit_code == Exit.NOT_INTACT
    assert "not the one of the export" in result.stderr
    assert cli("events", "--file", str(file)).exit_code == Exit.USAGE
    assert cli("events", "--verify", "--file", __file__).exit_code == Exit.USAGE


def test_status_and_drift_answer(cli: Cli, cluster: JoinedCluster) -> None:
    assert "clusters" in ok(cli("status")).stdout
    assert data(cli("drift", "list", "-o", "json")) == []
    unknown = cli("drift", "correct-many", "nothing", "-l", "env=prod")
    assert unknown.exit_code == Exit.NOT_FOUND


def test_a_deregistered_cluster_is_gone_from_the_list(
    cli: Cli, http: httpx.Client, running: RunningControlPlane
) -> None:
    join(http, running.bearer("admin@demo"), "us-9")
    ok(cli("cluster", "delete", "us-9", "--reason", "moved"))
    assert all(each["name"] != "us-9" for each in data(cli("cluster", "list", "-o", "json")))


def test_a_program_logs_in_with_its_secret(
    cli: Cli, home: Path, running: RunningControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = next(each for each in running.directory.seed.clients if each.name == "pipeline")
    monkeypatch.setenv("ARCBRIDGE_CLIENT_ID", program.id)
    monkeypatch.setenv("ARCBRIDGE_CLIENT_SECRET", running.directory.credential(program.name))
    application = running.directory.seed.application
    login = ("login", "--server", running.url, "--issuer", issuer(running))
    ok(cli(*login, "--scope", f"{application.uri}/.default", person=None))
    tokens = home.with_name("tokens.json")
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    assert data(cli("extension", "list", "-o", "json", person=None)) is not None
    assert "secret" not in home.read_text()


def test_a_person_logs_in_through_the_browser_and_out_again(
    cli: Cli, running: RunningControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[BaseException] = []

    def browser(address: str) -> bool:
        """Fills the form in, as a person would."""

        def sign_in() -> None:
            try:
                form = dict(parse_qsl(urlsplit(address).query))
                form |= {
                    "username": "operator@demo",
                    "password": running.directory.credential("operator@demo"),
                }
                page = address.partition("?")[0]
                with httpx.Client(trust_env=False, timeout=10) as http:
                    answer = http.post(page, data=form)
                    wrong = answer.headers["location"].replace("state=", "state=x")
                    assert http.get(wrong).status_code == 404
                    assert http.get(answer.headers["location"]).status_code == 200
            except BaseException as error:
                failures.append(error)

        threading.Thread(target=sign_in, daemon=True).start()
        return True

    monkeypatch.setattr("webbrowser.open", browser)
    application = running.directory.seed.application
    client = next(each for each in running.directory.seed.clients if not each.confidential)
    result = cli(
        "login", "--server", running.url, "--issuer", issuer(running),
        "--client-id", client.id, "--scope", f"openid {application.uri}/{application.scope}",
        person=None,
    )  # fmt: skip
    assert failures == []
    ok(result)
    assert data(cli("cluster", "list", "-o", "json", person=None)) is not None
    ok(cli("logout", person=None))
    assert cli("cluster", "list", person=None).exit_code == Exit.DENIED


def test_a_cached_token_is_never_sent_to_another_server(
    cli: Cli, running: RunningControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = next(each for each in running.directory.seed.clients if each.name == "pipeline")
    scope = f"{running.directory.seed.application.uri}/.default"
    login = ("login", "--server", running.url, "--issuer", issuer(running), "--scope", scope)
    with monkeypatch.context() as environ:
        environ.setenv("ARCBRIDGE_CLIENT_ID", program.id)
        environ.setenv("ARCBRIDGE_CLIENT_SECRET", running.directory.credential(program.name))
        ok(cli(*login, "--client-id", program.id, person=None))
    ok(cli("extension", "list", person=None))
    elsewhere = cli("extension", "list", "--server", "http://127.0.0.1:9", person=None)
    assert elsewhere.exit_code == Exit.DENIED


def issuer(running: RunningControlPlane) -> str:
    return f"{running.issuer}/{running.directory.tid_of('demo')}/v2.0"


def test_the_artifact_policy_is_set_and_holds(cli: Cli, tmp_path: Path) -> None:
    assert data(cli("policy", "get", "-o", "json"))["inline"] is True
    source = ("--source", "oci://*.azurecr.io")
    stored = data(cli("policy", "set", *source, "--no-inline", "--reason", "ours", "-o", "json"))
    assert (stored["sources"], stored["inline"]) == (["oci://*.azurecr.io"], False)
    refused = cli("apply", "-f", str(overlay(tmp_path, "not-allowed")))
    assert refused.exit_code == Exit.DENIED
    assert "artifact policy" in refused.stderr
    assert cli("policy", "set", "--source", "http://x").exit_code == Exit.USAGE
    data(cli("policy", "set", "-o", "json"))


def test_the_joining_policy_is_shown_and_set(cli: Cli) -> None:
    assert data(cli("policy", "joining", "-o", "json"))["approval"] is False
    stored = data(cli("policy", "joining", "--approval", "--reason", "r", "-o", "json"))
    assert (stored["approval"], stored["updatedBy"] is None) == (True, False)
    assert cli("policy", "joining", "--reason", "r").exit_code == Exit.USAGE
    assert "Then: arcbridge cluster pending" in ok(cli("cluster", "connect", "eu-p")).stderr
    assert data(cli("policy", "joining", "--no-approval", "-o", "json"))["approval"] is False


def test_the_ca_is_aborted_only_by_who_runs_the_platform_and_only_while_one_is_prepared(
    cli: Cli,
) -> None:
    platform = {"person": "platform@demo"}
    assert cli("ca", "abort", "--reason", "r").exit_code == Exit.DENIED
    nothing = cli("ca", "abort", "--reason", "r", **platform)
    assert nothing.exit_code == Exit.CONFLICT, nothing.stderr
    assert "nothing to abort" in nothing.stderr
    unknown = cli("ca", "abort", "0" * 16, "--reason", "r", **platform)
    assert unknown.exit_code == Exit.NOT_FOUND
    assert cli("ca", "abort", "no-id", "--reason", "r", **platform).exit_code == Exit.USAGE


def test_a_cluster_that_waits_is_listed_and_approved(
    cli: Cli, running: RunningControlPlane, http: httpx.Client
) -> None:
    manifest = ok(cli("cluster", "connect", "eu-wait", "--approval")).stdout
    token = re.search(r"abt_[^\s\"']+", manifest)
    assert token is not None
    body, _ = registration(token[0], "eu-wait")
    waits = http.post("/api/v1/register", json=body)
    assert (waits.status_code, waits.json()["code"]) == (409, "PendingApproval")
    assert int(waits.headers["Retry-After"]) >= 1
    (asked,) = data(cli("cluster", "pending", "-o", "json"))
    assert asked["name"] == "eu-wait"
    assert asked["keyPin"] in waits.json()["detail"]
    wrong = cli("cluster", "approve", "eu-wait", "--key", f"sha256:{'0' * 64}")
    assert wrong.exit_code == Exit.CONFLICT
    assert cli("cluster", "approve", "eu-wait", person="operator@demo").exit_code == Exit.DENIED
    ok(cli("cluster", "approve", "eu-wait", "--key", asked["keyPin"], "--reason", "expected"))
    assert data(cli("cluster", "pending", "-o", "json")) == []
    assert http.post("/api/v1/register", json=body).json()["clusterName"] == "eu-wait"


def test_a_cluster_that_waits_is_turned_away(cli: Cli, http: httpx.Client) -> None:
    manifest = ok(cli("cluster", "connect", "eu-odd", "--approval")).stdout
    token = re.search(r"abt_[^\s\"']+", manifest)
    assert token is not None
    body, _ = registration(token[0], "eu-odd")
    assert http.post("/api/v1/register", json=body).status_code == 409
    ok(cli("cluster", "reject", "eu-odd", "--reason", "nobody knows it"))
    assert http.post("/api/v1/register", json=body).json()["code"] == "RegistrationRefused"


def test_who_runs_the_platform_sees_and_rotates_the_ca(cli: Cli) -> None:
    before = data(cli("ca", "status", "-o", "json", person="platform@demo"))
    states = [each["state"] for each in before["generations"]]
    assert states.count("Issuing") == 1
    assert cli("ca", "status", person="admin@demo").exit_code == Exit.DENIED
    assert cli("ca", "rotate", "--override-offline", person="platform@demo").exit_code == Exit.USAGE
    rotated = ok(cli("ca", "rotate", person="platform@demo"))
    assert before["generations"][0]["id"] in rotated.stdout
    assert "Prepared" in rotated.stdout or "Retiring" in rotated.stdout


def test_a_freeze_is_set_listed_and_deleted(cli: Cli) -> None:
    weekly = ("--weekly", "mon,fri/22:00-04:00", "--zone", "Europe/Berlin")
    made = ok(cli("freeze", "set", "nights", "--allow", *weekly, "-o", "json"))
    assert json.loads(made.stdout)["weekly"] == [
        {"days": ["mon", "fri"], "start": "22:00", "end": "04:00"}
    ]
    ok(cli("freeze", "set", "audit", "--until", "7d", "--reason", "the auditors are here"))
    listed = json.loads(ok(cli("freeze", "list", "-o", "json")).stdout)
    assert [(each["name"], each["kind"]) for each in listed] == [
        ("audit", "deny"),
        ("nights", "allow"),
    ]
    assert listed[0]["inForce"] is True
    ok(cli("freeze", "delete", "nights"))
    ok(cli("freeze", "delete", "audit"))
    assert cli("freeze", "delete", "audit").exit_code == Exit.NOT_FOUND
    assert cli("freeze", "set", "x", "--weekly", "mondays").exit_code == Exit.USAGE
    assert cli("freeze", "set", "x", "--weekly", "mon/9-17").exit_code == Exit.USAGE
    assert cli("freeze", "set", "x", person="reader@demo").exit_code == Exit.DENIED


def test_a_tenant_is_made_with_quotas_and_they_are_changed_one_by_one(cli: Cli) -> None:
    platform = {"person": "platform@demo"}
    made = data(cli("admin", "create", "acme", "--clusters", "5", "-o", "json", **platform))
    assert (made["state"], made["quotas"]["clusters"]) == ("Active", 5)
    changed = data(cli("admin", "quota", "acme", "--extensions", "7", "-o", "json", **platform))
    assert changed["quotas"] == {**made["quotas"], "extensions": 7}
    assert data(cli("admin", "get", "acme", "-o", "json", **platform)) == changed
    assert cli("admin", "create", "acme", **platform).exit_code == Exit.CONFLICT
    assert cli("admin", "quota", "acme", **platform).exit_code == Exit.USAGE
    assert cli("admin", "get", "acme").exit_code == Exit.DENIED


def test_a_tenant_is_exported_deleted_and_imported_and_its_cluster_is_known_again(
    cli: Cli, running: RunningControlPlane, http: httpx.Client, tmp_path: Path
) -> None:
    member = join(http, running.bearer("admin@other"), "eu-9")
    file = tmp_path / "other.jsonl"
    platform = {"person": "platform@demo"}
    assert cli("admin", "export", "other", str(file), person="admin@other").exit_code == Exit.DENIED
    assert cli("admin", "export", "other", str(file), **platform).exit_code == Exit.CONFLICT
    ok(cli("admin", "export", "other", str(file), "--suspend", **platform))
    tenants = {
        each["name"]: each for each in data(cli("admin", "tenants", "-o", "json", **platform))
    }
    assert tenants["other"]["state"] == "Active"
    assert "is whole" in ok(cli("admin", "import", str(file), "--check", **platform)).stderr
    assert cli("admin", "import", str(file), **platform).exit_code == Exit.CONFLICT

    ok(cli("admin", "suspend", "other", **platform))
    ok(cli("admin", "delete", "other", **platform))
    assert http.get("/api/v1/desired", headers=member.bearer()).status_code == 403
    key = {"x-functions-key": running.master_key}
    http.post("/admin/functions/retention", headers=key, json={}).raise_for_status()

    def is_empty_by_now() -> bool:
        result = cli("admin", "import", str(file), "--resume", **platform)
        assert result.exit_code in (Exit.OK, Exit.CONFLICT), result.output
        return result.exit_code == Exit.OK

    eventually(is_empty_by_now)
    assert http.get("/api/v1/desired", headers=member.bearer()).status_code == 200
    assert data(cli("events", "--verify", "-o", "json", person="admin@other"))["intact"]

    file.write_bytes(file.read_bytes()[:-100])
    damaged = cli("admin", "import", str(file), **platform)
    assert damaged.exit_code == Exit.USAGE
    assert "damaged" in damaged.stderr


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_who_runs_the_platform_can_bring_their_own_tenant_back(cli: Cli) -> None:
    platform = {"person": "platform@demo"}
    ok(cli("admin", "suspend", "demo", **platform))
    assert cli("cluster", "list").exit_code == Exit.DENIED
    assert cli("cluster", "list", **platform).exit_code == Exit.DENIED
    ok(cli("admin", "resume", "demo", **platform))
    ok(cli("cluster", "list"))
