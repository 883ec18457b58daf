"""Charts from an https repository: exact version, digest checked, certificate checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from shared.contract.canonical import digest_bytes
from shared.contract.extension import HelmSource, Source
from shared.contract.reasons import ReasonCode
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.https_server import Page, https_server
from tests.integration.agent.reconcile.sources import Release, chart_archive

CONTENT = chart_archive(version="1.2.3")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a chart repository, and the certificate it shows."""
    root = tmp_path / "charts"
    root.mkdir()
    (root / "web-1.2.3.tgz").write_bytes(CONTENT)
    entry = {"name": "web", "version": "1.2.3", "apiVersion": "v2", "urls": ["web-1.2.3.tgz"]}
    index = {"apiVersion": "v1", "entries": {"web": [entry]}}
    (root / "index.yaml").write_text(yaml.safe_dump(index))
    content = {f"/{file.name}": Page(file.read_bytes()) for file in root.iterdir()}
    with https_server(tmp_path, content) as port:
        yield f"https://127.0.0.1:{port}", tmp_path / "cert.pem"


def web(namespace: str, url: str, digest: str, version: str = "1.2.3") -> Release:
    source = HelmSource(repo=url, chart="web", version=version, digest=digest)
    return Release("web", namespace, Source(helm=source))


async def test_a_chart_from_a_repository_is_what_its_digest_says_or_nothing_is_applied(
    start_engine: StartEngine,
    tools: Tools,
    namespace: str,
    repository: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, certificate = repository
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with start_engine(max_attempts=2) as running:
        wrong = web(namespace, url, "sha256:" + "0" * 64)
        running.submit(wrong.present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.ARTIFACT_FAILED
        assert digest_bytes(CONTENT) in failed.message
        assert not tools.exists("namespace", namespace)
        right = wrong.next(source=web(namespace, url, digest_bytes(CONTENT)).source)
        running.submit(right.present())
        ready = await running.ready("web", 2)
        assert ready.seconds is not None
        assert tools.history("web", namespace)[-1]["chart"] == "web-1.2.3"


async def test_a_repository_with_an_unknown_certificate_is_not_believed(
    start_engine: StartEngine, namespace: str, repository: tuple[str, Path]
) -> None:
    async with start_engine(max_attempts=1) as running:
        running.submit(web(namespace, repository[0], digest_bytes(CONTENT)).present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.ARTIFACT_FAILED
        assert "certificate" in failed.message
