"""What is deployed to the Functions app, built as the pipeline builds it, indexed as Azure does."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from dev import package
from functions.access import RULES, Who
from functions.registry import TIMERS, endpoints
from tests.infra.conftest import clean
from tests.joined_cluster import JoinedCluster, join
from tests.routes import EXTENSION, NOWHERE, PLACEHOLDER, request_for
from tests.running import RunningControlPlane

LIMIT_MB = 100
IMPORT_SECONDS = 8.0
"""Three times what a busy core needs; a cold start pays this."""
FOREIGN = {"grpc", "google", "relay", "agent", "arcbridge", "dev", "tests", "kubernetes"}


def app_settings(postgres_url: str, redis_url: str, ca: Path) -> dict[str, str]:
    """What a control plane cannot do without."""
    return {
        "ARCBRIDGE_POSTGRES_URL": postgres_url,
        "ARCBRIDGE_REDIS_URL": redis_url,
        "ARCBRIDGE_CONTROL_PLANE_URL": "https://app.test",
        "ARCBRIDGE_RELAY_ADDRESS": "relay.test:8443",
        "ARCBRIDGE_OIDC_ISSUER": "https://login.test/{tid}/v2.0",
        "ARCBRIDGE_OIDC_AUDIENCE": "api://arcbridge",
        "ARCBRIDGE_OIDC_TENANTS": '{"11111111-1111-4111-8111-111111111111": "demo"}',
        "ARCBRIDGE_CA_DIR": str(ca),
    }


def indexed(
    python: Path, folder: Path, library: Path, environ: dict[str, str], requests: Path | None = None
) -> dict[str, object]:
    """What the worker library makes of a package, and what the requests in a file are answered."""
    host = Path(__file__).with_name("functions_host.py")
    arguments = [str(host), str(folder), str(library), *([str(requests)] if requests else [])]
    process = clean(python, *arguments, environ=environ, cwd=folder)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    found: dict[str, object] = json.loads(output.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "control-plane"
    package.build(folder)
    return folder


def invocations(running: RunningControlPlane, cluster: JoinedCluster) -> list[dict[str, Any]]:
    """A right request for each HTTP function, with the credential that its rule asks for.

    Agents come first, for one is revoked later; what takes something away comes last.
    """
    with httpx.Client(base_url=running.url, timeout=60, trust_env=False) as http:
        admin = running.bearer("admin@demo")
        published = http.post("/api/v1/desired", headers=admin, json=EXTENSION)
        assert published.status_code in (200, 201, 202), published.text
        rollouts = http.get("/api/v1/rollouts", headers=admin).json()["items"]
    known = {**NOWHERE, "name": EXTENSION["metadata"]["name"], "rollout_id": rollouts[0]["id"]}
    credentials: dict[Who, Callable[[], dict[str, str]]] = {
        Who.ANYONE: dict,
        Who.TOKEN_HOLDER: dict,
        Who.AGENT: cluster.bearer,
        Who.MEMBER: lambda: admin,
        Who.PLATFORM: lambda: running.bearer("platform@demo"),
    }
    ordered = sorted(
        endpoints(),
        key=lambda each: (each.rule.who is not Who.AGENT, each.method == "DELETE", each.route),
    )
    asked: list[dict[str, Any]] = []
    for endpoint in ordered:
        request = request_for(endpoint, known, query=True)
        query = f"?{urlencode(request.query)}" if request.query else ""
        asked.append(
            {
                "function": endpoint.name,
                "method": request.method,
                "url": f"https://app.test{request.path}{query}",
                "params": {name: known[name] for name in PLACEHOLDER.findall(endpoint.route)},
                "headers": {**request.headers, **credentials[endpoint.rule.who]()},
                "body": (request.content or b"").decode(),
            }
        )
    return asked


@pytest.fixture(scope="module")
def found(
    built: Path,
    python313: Path,
    worker_library: Path,
    running: RunningControlPlane,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What the worker library makes of the package, and what every function of it answers."""
    with httpx.Client(base_url=running.url, timeout=60, trust_env=False) as http:
        cluster = join(http, running.bearer("admin@demo"), EXTENSION["metadata"]["name"])
    asked = invocations(running, cluster)
    file = tmp_path_factory.mktemp("requests") / "requests.json"
    file.write_text(json.dumps(asked))
    environ = {name: v for name, v in running.environ.items() if name.startswith("ARCBRIDGE_")}
    return {**indexed(python313, built, worker_library, environ, file), "asked": asked}


def test_the_worker_library_finds_every_function_and_the_app_is_ready(
    built: Path, found: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    functions = set(found["functions"])
    assert set(RULES) <= functions
    assert len(functions - set(RULES)) == len(TIMERS)
    assert found["status"] == 200
    assert found["ready"] == {"ready": True, "postgres": True, "redis": True}
    assert not FOREIGN & set(found["modules"])
    size, seconds = package.megabytes(built), found["import_cpu_seconds"]
    took = f"{found['import_seconds']} s to import, {seconds} s of the processor"
    figures = f"{size:.1f} MB, {len(functions)} functions, {took}"
    with capsys.disabled():
        print(f"\nFunctions package: {figures}")  # noqa: T201 - the figures are for whoever runs it
    assert size < LIMIT_MB
    assert seconds < IMPORT_SECONDS


def test_every_http_function_of_the_package_answers_a_call(
    found: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    answers = found["answers"]
    assert [each["function"] for each in answers] == [each["function"] for each in found["asked"]]
    assert {each["function"] for each in answers} == set(RULES)
    statuses = Counter(each["status"] for each in answers)
    with capsys.disabled():
        print(f"\n{len(answers)} HTTP functions invoked: {dict(sorted(statuses.items()))}")  # noqa: T201 - likewise
    # Whoever asks may, so an answer is about what was asked for; nothing is the server's fault.
    wrong = [each for each in answers if each["status"] in (401, 403) or each["status"] >= 500]
    assert [each for each in wrong if each["function"] != "register"] == []
    assert sum(count for status, count in statuses.items() if status < 300) > len(answers) / 2


def test_nothing_of_the_other_parts_is_in_it(built: Path) -> None:
    own = {path.name for path in built.iterdir()}
    assert own == {
        "function_app.py", "functions", "shared", "host.json", "requirements.txt",
        ".python_packages",
    }  # fmt: skip
    assert not (built / "shared" / "rpc").exists()
    packages = {path.name for path in (built / package.PACKAGES).iterdir()}
    assert not packages & {"grpc", "kubernetes", "pytest", "uvicorn", "starlette", "mypy"}


def test_the_same_files_make_the_same_archive(built: Path, tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        package.pack(built / "shared", tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert "settings.py" in archive.namelist()


def test_its_binaries_are_those_of_the_platform(built: Path) -> None:
    names = [path.name for path in (built / package.PACKAGES).rglob("*.so")]
    versioned = [name for name in names if ".cpython-" in name]
    assert versioned
    assert all(".cpython-313-x86_64-linux-gnu" in name for name in versioned)
