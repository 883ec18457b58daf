"""Each image's recipe, carried out in an empty folder; then its program runs and answers."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.kube.server import KubeServer
from dev.state import REPOSITORY, state_directory
from functions.access import RULES
from shared.identity import devca
from tests.infra.conftest import clean
from tests.infra.dockerfile import Replay, Stage, instructions
from tests.infra.test_functions_package import app_settings, indexed

FILES = {
    "relay": REPOSITORY / "relay" / "Dockerfile",
    "agent": REPOSITORY / "agent" / "Dockerfile",
    "control-plane": REPOSITORY / "infra" / "control-plane.Dockerfile",
}
every_file = pytest.mark.parametrize("path", FILES.values(), ids=FILES)
BY_DIGEST = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}").fullmatch
START_SECONDS = 30.0


@every_file
def test_an_image_has_no_root_a_probe_and_labels(path: Path) -> None:
    lines = instructions(path)
    last = max(index for index, (name, _) in enumerate(lines) if name == "FROM")
    final = dict(lines[last:])
    assert re.fullmatch(r"\d+(:\d+)?", final["USER"])
    assert not final["USER"].startswith("0")
    assert "CMD [" in final["HEALTHCHECK"]
    labels = " ".join(argument for name, argument in lines[last:] if name == "LABEL")
    for label in ("title", "description", "licenses", "version", "revision", "source"):
        assert f"org.opencontainers.image.{label}=" in labels
    assert "io.arcbridge.image.sbom=" in labels


def loose(text: str) -> list[str]:
    """Bases of a Dockerfile that are not named by digest where Dependabot looks: in FROM itself."""
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    return [each for each in bases if each not in stages | {"scratch"} and not BY_DIGEST(each)]


@every_file
def test_every_base_is_named_by_version_and_digest(path: Path) -> None:
    assert loose(path.read_text()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "FROM python:3.13-slim",
        "ARG BASE=python:3.13@sha256:" + "0" * 64 + "\nFROM ${BASE}",
        "FROM python@sha256:" + "0" * 64,
        "FROM python:3.13@sha256:" + "0" * 63,
        "FROM --platform=linux/amd64 python:3.13",
    ],
)
def test_a_base_without_version_or_digest_is_found(planted: str) -> None:
    assert loose(planted)


def test_one_base_has_one_digest() -> None:
    text = "\n".join(path.read_text() for path in FILES.values())
    bases = set(re.findall(r"^FROM ([^\s:]+)(:\S+)", text, re.MULTILINE))
    assert len(bases) == len({name for name, _ in bases})


@every_file
def test_packages_are_installed_by_hash_and_nothing_is_copied_whole(path: Path) -> None:
    for name, argument in instructions(path):
        if name == "RUN" and "pip install" in argument:
            assert "--require-hashes" in argument
        if name == "COPY" and "--from" not in argument:
            assert argument.split()[0] not in (".", "./")
        assert name != "ADD"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def running(stage: Stage, python: Path, environ: dict[str, str], cwd: Path) -> Iterator[None]:
    """The image's program with the image's environment, until its own probe says that it lives."""
    given = {**from_image(stage), **environ}
    process = clean(python, *stage.command[1:], environ=given, cwd=cwd)
    try:
        ends = time.monotonic() + START_SECONDS
        while not alive(stage, python, given, cwd):
            assert process.poll() is None, process.communicate(timeout=10)[1]
            assert time.monotonic() < ends, "the probe has not answered"
            time.sleep(0.3)
        yield
        process.terminate()
        assert process.wait(timeout=20) == 0, process.communicate(timeout=10)[1]
    finally:
        process.kill()
        process.communicate(timeout=10)


def alive(stage: Stage, python: Path, environ: dict[str, str], cwd: Path) -> bool:
    """Whether the image's HEALTHCHECK passes."""
    probe = clean(python, *stage.probe[1:], environ=environ, cwd=cwd)
    probe.communicate(timeout=20)
    return probe.returncode == 0


def from_image(stage: Stage) -> dict[str, str]:
    """The image's environment; its search path for Python with the folders that it has here."""
    paths = [str(stage.at(path)) for path in stage.environ.get("PYTHONPATH", "").split(":") if path]
    paths += [str(path) for path in stage.root.glob("venv/lib/python3*/site-packages")]
    return stage.environ | {"PYTHONPATH": ":".join(paths), "PATH": os.defpath}


def test_the_relay_starts_from_its_image(
    tmp_path: Path, python313: Path, postgres_url: str, redis_url: str
) -> None:
    image = Replay(FILES["relay"], tmp_path / "image", python313).image
    assert {path.name for path in image.at("/app").iterdir()} == {"relay", "shared"}
    devca.make(tmp_path / "ca")
    environ = {
        "ARCBRIDGE_POSTGRES_URL": postgres_url,
        "ARCBRIDGE_REDIS_URL": redis_url,
        "ARCBRIDGE_CA_DIR": str(tmp_path / "ca"),
        "ARCBRIDGE_RELAY_BIND": "127.0.0.1",
        "ARCBRIDGE_RELAY_PORT": "0",
        "ARCBRIDGE_RELAY_HTTP_PORT": str(free_port()),
        "ARCBRIDGE_DRAIN_SECONDS": "0",
    }
    with running(image, python313, environ, image.at("/app")):
        pass


def test_the_relays_image_prepares_a_database(
    tmp_path: Path, python313: Path, empty_postgres_url: str
) -> None:
    image = Replay(FILES["relay"], tmp_path / "image", python313).image
    for expected in ("applied: 0001", "applied: nothing"):
        process = clean(
            python313, "-m", "shared.store.migrate", cwd=image.at("/app"),
            environ=from_image(image) | {"ARCBRIDGE_MIGRATION_POSTGRES_URL": empty_postgres_url},
        )  # fmt: skip
        output, errors = process.communicate(timeout=60)
        assert output.startswith(expected), errors


async def test_the_agent_starts_from_its_image(tmp_path: Path, python313: Path) -> None:
    tools = {}
    for name, path in (("helm", "usr/bin/helm"), ("kubectl", "bin/kubectl")):
        tools[name] = tmp_path / f"image-of-{name}"
        (tools[name] / path).parent.mkdir(parents=True)
        shutil.copy(state_directory() / "bin" / name, tools[name] / path)
    image = Replay(FILES["agent"], tmp_path / "image", python313, tools).image
    assert {path.name for path in image.at("/app/shared").iterdir() if path.suffix != ".pyc"} <= {
        "__init__.py", "__pycache__", "contract", "rpc", "telemetry",
    }  # fmt: skip
    async with KubeServer.start(port=0) as server:
        cluster = server.add_cluster("c1")
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        environ = {
            "KUBECONFIG": str(tmp_path / "kubeconfig"),
            "HOME": str(tmp_path),
            "ARCBRIDGE_HELM": str(image.at("/usr/local/bin/helm")),
            "ARCBRIDGE_KUBECTL": str(image.at("/usr/local/bin/kubectl")),
            "ARCBRIDGE_AGENT_STATE_DIR": str(tmp_path / "state"),
            "ARCBRIDGE_AGENT_HTTP_HOST": "127.0.0.1",
            "ARCBRIDGE_AGENT_HTTP_PORT": str(free_port()),
        }

        def run() -> None:
            with running(image, python313, environ, tmp_path):
                pass

        await asyncio.to_thread(run)


def test_the_control_plane_is_indexed_from_its_image(
    tmp_path: Path, python313: Path, worker_library: Path, postgres_url: str, redis_url: str
) -> None:
    image = Replay(FILES["control-plane"], tmp_path / "image", python313).image
    folder = image.at("/home/site/wwwroot")
    assert not (folder / "shared" / "rpc").exists()
    devca.make(tmp_path / "ca")
    environ = app_settings(postgres_url, redis_url, tmp_path / "ca")
    found = indexed(python313, folder, worker_library, environ)
    assert set(RULES) <= set(found["functions"])  # type: ignore[call-overload] # a list
    assert found["status"] == 200
    schedules = {name for name in image.environ if name.endswith("_SCHEDULE")}
    timers = "".join(path.read_text() for path in (REPOSITORY / "functions/timers").glob("*.py"))
    assert schedules == set(re.findall(r'every\("(\w+)"\)', timers))
