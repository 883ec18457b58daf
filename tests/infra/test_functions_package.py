"""What is deployed to the Functions app, built as the pipeline builds it, indexed as Azure does."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from dev import package
from functions.access import RULES
from functions.registry import TIMERS
from shared.identity import devca
from tests.infra.conftest import clean

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
    python: Path, folder: Path, library: Path, environ: dict[str, str]
) -> dict[str, object]:
    """What the worker library makes of a package."""
    host = Path(__file__).with_name("functions_host.py")
    process = clean(python, str(host), str(folder), str(library), environ=environ, cwd=folder)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    found: dict[str, object] = json.loads(output.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "control-plane"
    package.build(folder)
    return folder


def test_the_worker_library_finds_every_function_and_the_app_is_ready(
    built: Path,
    python313: Path,
    worker_library: Path,
    postgres_url: str,
    redis_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    devca.make(tmp_path / "ca")
    environ = app_settings(postgres_url, redis_url, tmp_path / "ca")
    found = indexed(python313, built, worker_library, environ)
    functions = set(found["functions"])  # type: ignore[call-overload] # a list, as JSON says
    assert set(RULES) <= functions
    assert len(functions - set(RULES)) == len(TIMERS)
    assert found["status"] == 200
    assert found["ready"] == {"ready": True, "postgres": True, "redis": True}
    assert not FOREIGN & set(found["modules"])  # type: ignore[call-overload] # likewise
    size, seconds = package.megabytes(built), found["import_cpu_seconds"]
    took = f"{found['import_seconds']} s to import, {seconds} s of the processor"
    figures = f"{size:.1f} MB, {len(functions)} functions, {took}"
    with capsys.disabled():
        print(f"\nFunctions package: {figures}")  # noqa: T201 - the figures are for whoever runs it
    assert size < LIMIT_MB
    assert float(str(seconds)) < IMPORT_SECONDS


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
